import ControlAPI
import DeploymentCore
import Foundation
import Testing

@Suite(.timeLimit(.minutes(5))) struct IdleTests {
    @Test(arguments: Isolation.allCases)
    func deploymentThatNobodyAsksIsPausedAndWokenByARequest(_ rung: Isolation) async throws {
        try await CLI.with(rung) { cli in
            try await cli.succeed("deploy", try PlainApp(more: "idle: {pause_after: 2s}").write(cli))
            let process = try await cli.sum().pid
            let log = try cli.start(["logs", "plain", "--follow"])
            try await log.prints("berth paused")
            #expect(try await cli.status("plain").state == "paused")

            #expect(try await cli.sum().pid == process)
            try await log.prints("berth resumed")
            let status = try await cli.status("plain")
            #expect(status.state == "serving")
            #expect(status.restarts == 0)
            log.signal(SIGINT)
            _ = await cli.finish(log)
        }
    }
}
