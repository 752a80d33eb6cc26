import ArgumentParser

/// The program beside the warehouse.
@main
struct Nadi: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "nadi",
        abstract: "Folds shipped events into hourly counts in PostgreSQL, and proves that every line is counted.",
        discussion: """
            First: `nadi migrate` as an administrator of the database, then `GRANT nadi_loader TO <user>`; `nadi check` \
            says what is still missing. Then run `nadi load` every few seconds (nadi-loader.timer). `nadi audit` shows, \
            host by host, what was written, stored and counted, and names what is missing.

            Exit status: 0 all is well, 1 something failed or does not add up, 64 wrong arguments or configuration; `audit`, \
            `where` and `drift` say 2 where they could not ask, `drift` 3 where something drifted.
            """,
        version: "0.1.0",
        subcommands: [
            MigrateCommand.self, LoadCommand.self, RebuildCommand.self, AuditCommand.self, VerifyCommand.self,
            ReferenceCommand.self, DriftCommand.self, SampleCommand.self, WhereCommand.self, RejectsCommand.self,
            CheckCommand.self, StatusCommand.self,
        ])
}
