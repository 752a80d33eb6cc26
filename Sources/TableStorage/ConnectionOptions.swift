/// How a connection behaves beyond what its connection string says.
package struct ConnectionOptions: Sendable {
    /// Shown in pg_stat_activity unless the connection string names another.
    package var applicationName: String
    /// Seconds a statement may run; 0 for ever.
    package var statementTimeout: Int
    /// Seconds a statement may wait for a lock; 0 for ever.
    package var lockTimeout: Int
    /// Seconds the server lets an open transaction wait for its next statement before it ends the session; 0 for ever.
    package var idleTransactionTimeout: Int
    /// Refuse a server that is a read-only standby, unless the connection string says otherwise.
    package var needsWritableServer: Bool

    /// The defaults of the loader.
    package init(
        applicationName: String = "nadi", statementTimeout: Int = 300, lockTimeout: Int = 30,
        idleTransactionTimeout: Int = 60, needsWritableServer: Bool = true
    ) {
        self.applicationName = applicationName
        self.statementTimeout = statementTimeout
        self.lockTimeout = lockTimeout
        self.idleTransactionTimeout = idleTransactionTimeout
        self.needsWritableServer = needsWritableServer
    }
}
