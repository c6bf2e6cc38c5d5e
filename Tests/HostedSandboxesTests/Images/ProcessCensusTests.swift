import DeploymentCore
import Foundation
import Testing

@testable import HostedSandboxes

@Suite struct ProcessCensusTests {
    /// Lines of /proc/PID/stat: the agent is 2, the start command 10 with a server and a kernel, the user's shell 20.
    private static func stat(server: String) -> String {
        """
        2 (berth-agent) S 1 2 2 0
        10 (bash) S 2 10 10 0
        11 (\(server)) S 10 10 10 0
        12 (python3) S 11 12 12 0
        20 (odd ) name) T 2 20 20 0
        21 (gone) Z 20 20 20 0
        """
    }

    @Test(arguments: ["python", ProcessCensus.interpreterInUse])
    func kernelsCountAsTheUsersOnceTheyHaveRunCode(_ server: String) throws {
        let members = ProcessCensus.parse(Self.stat(server: server)).filter { $0.pid != 2 }
        let census = ProcessCensus.sort(members, starts: [10])
        let isInUse = server == ProcessCensus.interpreterInUse
        #expect(census.users.map(\.pid) == (isInUse ? [11, 20] : [20]))
        #expect(census.restartable.map(\.pid) == (isInUse ? [10, 12] : [10, 11, 12]))
        #expect(census.users.last?.isStopped == true)
        #expect(census.names.contains("code interpreter (11)") == isInUse)
        #expect(census.names.hasSuffix("odd ) name (20)"))
    }

    @Test func theInterpreterCallsItselfByTheNameThatIsLookedFor() throws {
        let checkout = (0..<4).reduce(URL(filePath: #filePath)) { url, _ in url.deletingLastPathComponent() }
        let file = checkout.appending(path: "templates/interpreter/berth_interpreter/inuse.py")
        let source = try String(contentsOf: file, encoding: .utf8)
        #expect(source.contains("NAME = b\"\(ProcessCensus.interpreterInUse)\""))
        // comm(5): longer names are cut.
        #expect(ProcessCensus.interpreterInUse.utf8.count <= 15)
    }
}
