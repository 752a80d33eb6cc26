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
var arguments = CommandLine.unsafeArgv
var count = CommandLine.argc

// libFuzzer sees everything but the target's name; where it starts itself again, to merge or to minimise, the
// environment has it.
let variable = "NADI_FUZZ_TARGET"
if count >= 2, let target = FuzzTarget(rawValue: CommandLine.arguments[1]) {
    chosen = target
    setenv(variable, target.rawValue, 1)
    arguments[1] = arguments[0]
    arguments += 1
    count -= 1
} else if let target = getenv(variable).flatMap({ FuzzTarget(rawValue: String(cString: $0)) }) {
    chosen = target
} else {
    print(FuzzTarget.allCases.map(\.rawValue).joined(separator: "\n"))
    exit(count == 1 ? 0 : 64)
}
exit(
    runDriver(&count, &arguments) { bytes, length in
        chosen.run(Array(UnsafeBufferPointer(start: bytes, count: length)))
        return 0
    })
