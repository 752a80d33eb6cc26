import DurableIO
import FuzzTargets
import TestSupport
import Testing

/// The inputs that fuzzing has kept: each once found a new way through the code, some of them a fault.
struct SeedTests {
    @Test(arguments: FuzzTarget.allCases)
    func everySeedIsTaken(target: FuzzTarget) throws {
        let folder = Fixtures.path("fuzz/\(target)")
        let seeds = try DurableFile.list(folder).map(\.name).sorted()
        #expect(!seeds.isEmpty)
        for seed in seeds {
            let input = try DurableFile.read(path: "\(folder)/\(seed)")
            target.run(input)
            // Cut anywhere, it must be taken as well.
            for end in stride(from: 0, to: input.count, by: max(1, input.count / 16)) { target.run(Array(input[..<end])) }
        }
    }
}
