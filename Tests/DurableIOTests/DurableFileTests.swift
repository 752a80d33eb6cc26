@testable import DurableIO
import Glibc
import TestSupport
import Testing

@Suite struct DurableFileTests {
    let folder: ScratchFolder

    init() throws { folder = try ScratchFolder() }

    @Test func replacingLeavesNewContentAndNothingElse() throws {
        let path = folder["state.json"]
        try DurableFile.replace(path: path, bytes: Array("old".utf8))
        try DurableFile.replace(path: path, bytes: Array("new content".utf8))
        #expect(try DurableFile.read(path: path) == Array("new content".utf8))
        #expect(try DurableFile.list(folder.path).map(\.name) == ["state.json"])
    }

    @Test func aFailedReplaceLeavesTheOldContent() throws {
        // A folder of the target's name makes the rename fail after the temporary file was written.
        try DurableFile.makeDirectory(folder["taken/inner"])
        #expect(throws: SystemError.self) { try DurableFile.replace(path: folder["taken"], bytes: [1]) }
        #expect(try DurableFile.list(folder.path).map(\.name) == ["taken"])
    }

    @Test func leftoversOfAKilledProcessGoAndNothingElse() throws {
        let others = [
            "state.json", ".state.json.tmp", ".shipper.lock", ".a.b-1", ".a.!-1.tmp", ".a.b-c.tmp", "a.b-1.tmp",
        ]
        let left = [".state.json.3w5e11264sgsf-12.tmp", ".host-1-2-end.jsonl.0-0.tmp"]
        for name in others + left { try DurableFile.replace(path: folder[name], bytes: [1]) }
        let made = String(DurableFile.temporaryPath(beside: folder["x"]).dropFirst(folder.path.count + 1))
        try DurableFile.replace(path: folder[made], bytes: [1])
        #expect(try DurableFile.removeTemporaries(in: folder.path).sorted() == (left + [made]).sorted())
        #expect(try DurableFile.list(folder.path).map(\.name).sorted() == others.sorted())
    }

    @Test func creatingRefusesATakenName() throws {
        let path = folder["object"]
        #expect(try DurableFile.create(path: path, bytes: [1]))
        #expect(try !DurableFile.create(path: path, bytes: [2]))
        #expect(try DurableFile.read(path: path) == [1])
        #expect(try DurableFile.list(folder.path).count == 1)
    }

    @Test func ofManyCreatorsOneWins() async throws {
        let path = folder["object"]
        let winners = try await withThrowingTaskGroup(of: Bool.self) { group in
            for number in 0..<32 {
                group.addTask { try DurableFile.create(path: path, bytes: [UInt8](repeating: UInt8(number), count: 9)) }
            }
            return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        #expect(winners == 1)
        let bytes = try DurableFile.read(path: path)
        #expect(bytes.count == 9 && Set(bytes).count == 1)
    }

    @Test func readingPartsStopsAtTheEnd() throws {
        let path = folder["part"]
        try DurableFile.replace(path: path, bytes: Array(0..<100))
        #expect(try DurableFile.read(path: path, limit: 3) == [0, 1, 2])
        #expect(try DurableFile.read(path: path, offset: 98, count: 10) == [98, 99])
        #expect(try DurableFile.read(path: path, offset: 200, count: 10) == [])
        #expect(try DurableFile.read(path: "/proc/self/stat").count > 20)
        #expect(try DurableFile.read(path: "/proc/self/stat", limit: 4).count == 4)
    }

    @Test func listingTellsKindsApartAndSorts() throws {
        try DurableFile.replace(path: folder["b"], bytes: [1, 2])
        try DurableFile.makeDirectory(folder["a/deep/er"])
        #expect(symlink(folder["b"], folder["c"]) == 0)
        let entries = try DurableFile.list(folder.path)
        #expect(entries.map(\.name) == ["a", "b", "c"])
        #expect(entries.map(\.isRegular) == [false, true, false])
        #expect(entries.map(\.isDirectory) == [true, false, false])
        #expect(entries[1].size == 2)
        let now_ms = Int64(time(nil)) * 1000
        #expect(abs(entries[1].modified_ms - now_ms) < 60_000)
        #expect(try DurableFile.entry(folder["c"])?.isRegular == false)
        #expect(try DurableFile.entry(folder["none"]) == nil)
    }

    @Test func renamingAndRemoving() throws {
        try DurableFile.replace(path: folder["x.open"], bytes: [7])
        try DurableFile.rename(from: folder["x.open"], to: folder["x.jsonl"])
        #expect(try DurableFile.list(folder.path).map(\.name) == ["x.jsonl"])
        try DurableFile.remove(path: folder["x.jsonl"])
        try DurableFile.remove(path: folder["x.jsonl"])
        #expect(try DurableFile.list(folder.path).isEmpty)
    }

    @Test func syncingAndFoldersThatAreFiles() throws {
        try DurableFile.replace(path: folder["file"], bytes: [1])
        try DurableFile.syncFile(folder["file"])
        let missing = #expect(throws: SystemError.self) { try DurableFile.syncFile(folder["none"]) }
        #expect(missing?.isNotFound == true)
        let error = #expect(throws: SystemError.self) { try DurableFile.makeDirectory(folder["file"]) }
        #expect(error?.code == ENOTDIR && error?.operation == "use as a folder")
        #expect(throws: SystemError.self) { try DurableFile.makeDirectory(folder["file/below"]) }
        #expect(throws: SystemError.self) { try DurableFile.replace(path: folder["none/file"], bytes: [1]) }
        #expect(throws: SystemError.self) { try DurableFile.read(path: folder.path) }
        #expect(throws: SystemError.self) { try DurableFile.remove(path: folder.path) }
    }

    @Test func errorsNameThePathTheReasonAndTheRemedy() throws {
        let error = #expect(throws: SystemError.self) { try DurableFile.read(path: folder["missing"]) }
        #expect(error?.isNotFound == true)
        #expect(
            error?.description == "cannot open \(folder["missing"]): No such file or directory (errno 2): "
                + "check that the path is spelled right and that its folder exists")
        #expect(throws: SystemError.self) { try DurableFile.makeDirectory("/proc/none/such") }
    }

    @Test func aLockExcludesUntilReleased() throws {
        let path = folder["w.lock"]
        #expect(throws: SystemError.self) { try FileLock.isHeld(path: path) }
        var lock = try FileLock.attempt(path: path)
        #expect(lock != nil)
        #expect(try FileLock.attempt(path: path) == nil)
        #expect(try FileLock.isHeld(path: path))
        lock = nil
        #expect(try !FileLock.isHeld(path: path))
        #expect(lock == nil)
    }

    @Test(.timeLimit(.minutes(5))) func holdingWaits() async throws {
        let path = folder["w.lock"]
        let first = try FileLock.hold(path: path)
        let second = Task.detached { try FileLock.hold(path: path) }
        usleep(50_000)
        withExtendedLifetime(first) {}
        _ = consume first
        _ = try await second.value
    }
}
