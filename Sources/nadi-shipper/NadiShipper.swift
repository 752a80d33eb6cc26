import ArgumentParser
import ObjectShipping

/// The program on hosts that run models.
@main
struct NadiShipper: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "nadi-shipper",
        abstract: "Ships sealed segments and finished logs of this host to a bucket.",
        discussion: """
            Services write events to segments in a spool directory. The shipper bundles sealed segments into objects, \
            stores them, and removes a segment only once its object is proven to be in the bucket. It needs no disk of \
            its own and may be killed at any moment.

            Begin with:

              nadi-shipper check --config /etc/nadi/shipper.yaml     is everything in place?
              nadi-shipper run --config /etc/nadi/shipper.yaml       ship until SIGTERM
              nadi-shipper run --once --config ...                   ship what is there, and end
              nadi-shipper status --config ...                       what is waiting?

            Every key of the configuration is explained in the sample file. Credentials come from the \
            environment (AWS_ACCESS_KEY_ID and its kin) or from shared files such as ~/.aws/credentials.
            """,
        version: Shipper.version, subcommands: [Run.self, Check.self, Status.self])
}
