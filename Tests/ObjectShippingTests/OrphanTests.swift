import DurableIO
import EventModel
import EventSegments
import Glibc
import ObjectStorage
import TestSupport
import Testing

@testable import ObjectShipping

/// Writers that die, freeze, fork and lose their files, each in a process of its own, with the real shipper beside them.
///
/// What `flush` promised must be in the store, once, and every writer must have its end.
@Suite(.timeLimit(.minutes(5)))
struct OrphanTests {
    // MARK: Death

    @Test(arguments: WriterDriver.Client.available)
    func aKilledWriterIsEndedAsItIs(_ client: WriterDriver.Client) async throws {
        let stage = try WriterStage()
        let writer = try stage.writer(client)
        try await writer.log(50)
        let name = try await writer.name()
        try await writer.kill()
        let ends = try await stage.judge([writer])
        #expect(ends[name]?.adopted == true && ends[name]?.counts.written == 51 && ends[name]?.found == 50)
    }

    /// Nothing is open, everything is shipped and gone: only the lock file tells that there was a writer.
    @Test(arguments: WriterDriver.Client.available)
    func aWriterThatDiesBetweenSegmentsIsEnded(_ client: WriterDriver.Client) async throws {
        let stage = try WriterStage()
        let writer = try stage.writer(client, "seal_age=0.2")
        for _ in 0..<3 {
            try await writer.log(10)
            #expect(try await eventually { try !stage.files().contains { $0.hasSuffix(".open") } })
        }
        let name = try await writer.name()
        // The newest may stay until its writer is known to have gone on.
        #expect(try await eventually { try stage.files().filter { !$0.hasSuffix(".lock") }.count <= 1 })
        try await writer.kill()
        let ends = try await stage.judge([writer])
        #expect(ends[name]?.adopted == true && ends[name]?.segment == 3)
        #expect(ends[name]?.counts.written == 34)
    }

    @Test(arguments: WriterDriver.Client.available)
    func aWriterThatNeverWroteIsEnded(_ client: WriterDriver.Client) async throws {
        let stage = try WriterStage()
        let writer = try stage.writer(client)
        let name = try await writer.name()
        try await writer.kill()
        let ends = try await stage.judge([writer])
        #expect(ends[name]?.adopted == true && ends[name]?.counts.written == 1)
    }

    // MARK: Forks

    @Test(arguments: WriterDriver.Client.available)
    func theParentDiesAndItsChildWritesOn(_ client: WriterDriver.Client) async throws {
        let stage = try WriterStage()
        let parent = try stage.writer(client, "seal_age=60")
        try await parent.log(20)
        let parentName = try await parent.name()
        let (child, _) = try await parent.fork()
        try await child.log(20)
        let childName = try await child.name()
        #expect(childName != parentName)
        try await parent.kill()
        // The child has every descriptor that the parent had; it must hold nothing of the parent's.
        #expect(
            try await eventually { try !stage.files().contains { $0.hasPrefix(parentName) } },
            "\(stage.story)")
        #expect(try stage.files().contains("\(childName).lock"))
        try await child.log(20)
        try await child.closeAndEnd()
        let ends = try await stage.judge([parent, child])
        #expect(ends[parentName]?.adopted == true && ends[parentName]?.counts.written == 21)
        #expect(ends[childName]?.adopted == false && ends[childName]?.counts.written == 41)
    }

    @Test(arguments: WriterDriver.Client.available)
    func aChildDiesAndItsParentIsLeftAlone(_ client: WriterDriver.Client) async throws {
        let stage = try WriterStage()
        let parent = try stage.writer(client, "seal_age=60")
        try await parent.log(20)
        let parentName = try await parent.name()
        let (child, processID) = try await parent.fork()
        try await child.log(20)
        let childName = try await child.name()
        // The parent reaps nobody here: a zombie holds no lock.
        Glibc.kill(processID, SIGKILL)
        #expect(
            try await eventually { try !stage.files().contains { $0.hasPrefix(childName) } },
            "\(stage.story)")
        try await stage.waitBeyondDeath()
        #expect(try stage.files().contains("\(parentName).lock") && stage.files().contains("\(parentName)-0.open"))
        try await parent.log(20)
        try await parent.closeAndEnd()
        let ends = try await stage.judge([parent, child])
        #expect(ends[childName]?.adopted == true && ends[childName]?.counts.written == 21)
        #expect(ends[parentName]?.adopted == false && ends[parentName]?.counts.written == 41)
    }

    /// A daemon: the parent ends at once without a word, the grandchild lives.
    @Test(arguments: WriterDriver.Client.available)
    func aDaemonsGrandchildIsAWriterOfItsOwn(_ client: WriterDriver.Client) async throws {
        let stage = try WriterStage()
        let parent = try stage.writer(client)
        try await parent.log(5)
        let (child, _) = try await parent.fork()
        let (grandchild, _) = try await child.fork()
        try parent.write("exit")
        try child.write("exit")
        try await grandchild.log(5)
        // A daemon closes what it did not open, also what the client has open by now.
        try await grandchild.run("closefds")
        try await grandchild.run("chdir /")
        try await grandchild.log(5)
        try await grandchild.closeAndEnd()
        let ends = try await stage.judge([parent, child, grandchild])
        // The child never wrote. The grandchild went on as a new writer when its descriptors were gone.
        #expect(ends.count == 3)
        #expect(ends.values.map(\.adopted).filter { $0 }.count == 2)
    }

    // MARK: Containers

    static let mayUnshare: Bool = {
        guard let child = try? ChildProcess("unshare", ["--pid", "--fork", "--mount-proc", "true"]) else { return false }
        return child.wait() == 0
    }()

    /// Two containers share a spool; in each the service is process 1.
    @Test(
        .enabled(if: mayUnshare, "needs the right to make pid namespaces"), arguments: WriterDriver.Client.available)
    func containersWithTheSameProcessNumbersShareASpool(_ client: WriterDriver.Client) async throws {
        let stage = try WriterStage()
        let container = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
        let first = try stage.writer(client, "seal_age=60", wrapper: container)
        let second = try stage.writer(client, "seal_age=60", wrapper: container)
        try await first.log(20)
        try await second.log(20)
        let names = (try await first.name(), try await second.name())
        for name in [names.0, names.1] {
            let record = try #require(LockRecord.read("\(stage.spool)/\(name).lock"))
            #expect(record.pid == 1)
        }
        // As `docker kill` does: the container's first process is killed, and all others with it.
        try await first.kill()
        #expect(
            try await eventually { try !stage.files().contains { $0.hasPrefix(names.0) } },
            "\(stage.story)")
        try await stage.waitBeyondDeath()
        #expect(try stage.files().contains("\(names.1).lock"))
        try await second.log(20)
        try await second.closeAndEnd()
        let ends = try await stage.judge([first, second])
        #expect(ends[names.0]?.adopted == true && ends[names.1]?.adopted == false)
        #expect(ends[names.1]?.counts.written == 41)
    }

    // MARK: Frozen

    /// Its lock is held as long as the process is there: it is not dead, however long it sleeps.
    @Test(arguments: WriterDriver.Client.available)
    func aFrozenWriterIsNotAdopted(_ client: WriterDriver.Client) async throws {
        let stage = try WriterStage()
        let writer = try stage.writer(client, "seal_age=1")
        try await writer.log(20)
        writer.send(SIGSTOP)
        try await stage.waitBeyondDeath()
        #expect(try stage.files().contains { $0.hasSuffix(".lock") })
        #expect(!stage.program.log.contains("died"))
        writer.send(SIGCONT)
        try await writer.log(20)
        let name = try await writer.name()
        try await writer.closeAndEnd()
        let ends = try await stage.judge([writer])
        #expect(ends.count == 1 && ends[name]?.adopted == false)
    }

    /// Somebody took its lock file for a stale one while it slept, so that the shipper ended it.
    @Test(arguments: WriterDriver.Client.available)
    func aFrozenWriterThatWasAdoptedWritesAgain(_ client: WriterDriver.Client) async throws {
        let stage = try WriterStage()
        let writer = try stage.writer(client, "seal_age=60")
        try await writer.log(20)
        let old = try await writer.name()
        writer.send(SIGSTOP)
        try DurableFile.remove(path: "\(stage.spool)/\(old).lock")
        #expect(
            try await eventually { try stage.files().isEmpty }, "\(stage.story)")
        writer.send(SIGCONT)
        try await writer.log(20)
        let new = try await writer.name()
        #expect(new != old)
        try await writer.closeAndEnd()
        let ends = try await stage.judge([writer], repeats: true)
        #expect(ends[old]?.adopted == true && ends[old]?.counts.written == 21)
        // Twenty that it could not know of, twenty new ones, and the end.
        #expect(ends[new]?.adopted == false && ends[new]?.counts.written == 41)
    }

    // MARK: Files taken away

    /// `rm *.lock` on a living host: each writer ends in order and begins anew; nothing is written twice.
    @Test(arguments: WriterDriver.Client.available)
    func aLivingWriterWhoseLockFileWasRemovedEndsInOrder(_ client: WriterDriver.Client) async throws {
        let stage = try WriterStage()
        let writer = try stage.writer(client, "seal_age=60")
        try await writer.log(20)
        let first = try await writer.name()
        // On a busy machine the shipper might find it quiet before it writes again.
        stage.shipper.send(SIGSTOP)
        try DurableFile.remove(path: "\(stage.spool)/\(first).lock")
        try await writer.log(20)
        stage.shipper.send(SIGCONT)
        let second = try await writer.name()
        #expect(first != second)
        try await writer.closeAndEnd()
        let ends = try await stage.judge([writer])
        #expect(ends[first]?.adopted == false && ends[first]?.counts.written == 21)
        #expect(ends[second]?.adopted == false && ends[second]?.counts.written == 21)
    }

    /// The same between two segments, where the writer holds nothing.
    @Test(arguments: WriterDriver.Client.available)
    func aLockFileRemovedBetweenSegmentsEndsTheWriterInOrder(_ client: WriterDriver.Client) async throws {
        let stage = try WriterStage()
        let writer = try stage.writer(client, "seal_age=0.2")
        try await writer.log(20)
        let first = try await writer.name()
        #expect(try await eventually { try !stage.files().contains { $0.hasSuffix(".open") } })
        try DurableFile.remove(path: "\(stage.spool)/\(first).lock")
        try await writer.log(20)
        try await writer.closeAndEnd()
        let ends = try await stage.judge([writer])
        #expect(ends.count == 2 && ends.values.allSatisfy { !$0.adopted })
        #expect(ends[first]?.segment == 1 && ends[first]?.counts.written == 22)
    }

    /// `rm -rf` of the whole spool, while events come: what was not sealed is written again.
    @Test(arguments: WriterDriver.Client.available)
    func aSpoolRemovedWhileWritingIsMadeAgain(_ client: WriterDriver.Client) async throws {
        let stage = try WriterStage()
        let writer = try stage.writer(client, "seal_age=60")
        try await writer.log(200)
        let old = try await writer.name()
        try writer.write("log 3000")
        for _ in 0..<5 {
            let remove = try ChildProcess("rm", ["-rf", stage.spool])
            _ = try await remove.end()
        }
        _ = try await writer.answer(to: "log 3000")
        #expect(try await eventually { try await writer.run("flush").contains("flushed") })
        try await writer.log(50)
        #expect(try await writer.name() != old)
        try await writer.closeAndEnd()
        let counts = try await stage.judge([writer], repeats: true)
        #expect(counts.values.allSatisfy { $0.counts.dropped.total == 0 })
        var status = stat()
        #expect(stat(stage.spool, &status) == 0 && status.st_mode & 0o7777 == 0o2770)
    }

    /// `mv spool spool.old; mkdir spool`, then the old files come back.
    @Test(arguments: WriterDriver.Client.available)
    func aSpoolReplacedIsWrittenAgain(_ client: WriterDriver.Client) async throws {
        let stage = try WriterStage()
        let writer = try stage.writer(client, "seal_age=60")
        try await writer.log(100)
        let old = try await writer.name()
        let away = stage.spool + ".old"
        try DurableFile.rename(from: stage.spool, to: away)
        try DurableFile.makeDirectory(stage.spool)
        try await writer.log(100)
        #expect(try await writer.name() != old)
        for name in try DurableFile.list(away).map(\.name) {
            try DurableFile.rename(from: "\(away)/\(name)", to: "\(stage.spool)/\(name)")
        }
        try await writer.closeAndEnd()
        let ends = try await stage.judge([writer], repeats: true)
        #expect(ends.count == 2 && ends[old]?.adopted == true)
    }

    /// A read-only file system lies over the spool for a while.
    @Test(
        .enabled(if: SmallDisk.mayMount, "needs the right to mount a tmpfs"),
        arguments: WriterDriver.Client.available)
    func aSpoolThatIsReadOnlyForAWhileLosesNothing(_ client: WriterDriver.Client) async throws {
        let stage = try WriterStage()
        let writer = try stage.writer(client, "seal_age=60")
        try await writer.log(100)
        var disk: SmallDisk? = try SmallDisk(over: stage.spool, "size=64k", flags: 1 /* MS_RDONLY */)
        #expect(try await writer.run("append 100 10").contains("accepted 100"))
        #expect(try await writer.run("flush").contains("not flushed"))
        try await Task.sleep(for: .seconds(1))
        withExtendedLifetime(disk) {}
        disk = nil
        #expect(try await eventually { try await writer.run("flush").contains("flushed") })
        try await writer.log(100)
        #expect(try await writer.counts().dropFirst(2).allSatisfy { $0 == 0 })
        try await writer.closeAndEnd()
        _ = try await stage.judge([writer], repeats: true)
    }
}
