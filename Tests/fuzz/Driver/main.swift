// libFuzzer on one target: nadi-fuzz TARGET [options of libFuzzer] [corpus folders]. Built and run by Tests/fuzz/run.
import FuzzTargets
import Glibc

@_silgen_name("LLVMFuzzerRunDriver")
func runDriver(
    _ count: UnsafeMutablePointer<Int32>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
    _ callback: @convention(c) (UnsafePointer<UInt8>?, Int) -> Int32
) -> Int32

nonisolated(unsafe) var chosen = FuzzTarget.lines

guard CommandLine.argc >= 2, let target = FuzzTarget(rawValue: CommandLine.arguments[1]) else {
    print(FuzzTarget.allCases.map(\.rawValue).joined(separator: "\n"))
    exit(CommandLine.argc == 1 ? 0 : 64)
}
chosen = target

// libFuzzer sees everything but the target's name.
var arguments = CommandLine.unsafeArgv
arguments[1] = arguments[0]
arguments += 1
var count = CommandLine.argc - 1
exit(
    runDriver(&count, &arguments) { bytes, length in
        chosen.run(Array(UnsafeBufferPointer(start: bytes, count: length)))
        return 0
    })
