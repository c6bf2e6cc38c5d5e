import ControlAPI
import ControlPlane
import DeploymentCore
import Foundation
import Testing

/// One control plane deploys to another one over a network that fails: it ends in a defined state, and nothing is left
/// on the far side.
@Suite struct BadNetworkTests {
    /// Moments at which a call is cut.
    static let moments: [BadNetwork.Fault] = [.before, .duringRequest, .duringAnswer, .after]

    @Test(.timeLimit(.minutes(10))) func everyCallMayFailAtEveryMoment() async throws {
        try await Circle.with { circle in
            let manifest = try PlainApp(more: "provider: e2b").write(circle.near)
            try await circle.near.succeed("deploy", manifest)
            try await circle.near.succeed("destroy", "plain", "--yes")
            let calls = circle.network.names
            for part in [
                "GET /v2/sandboxes", "POST /v2/sandboxes", "POST /filesystem.Filesystem/MakeDir", "POST /files",
                "POST /process.Process/Start install", "PUT /sandboxes/{id}/network",
                "POST /process.Process/Start app", "49999 GET /health", "49999 POST /predict", "DELETE /sandboxes/{id}",
            ] { #expect(calls.contains(part), "\(calls)") }
            for call in calls {
                for moment in Self.moments { try await circle.deploys(manifest, through: moment, of: call) }
            }
        }
    }

    @Test(.timeLimit(.minutes(5))) func slowNetworkIsNoFailure() async throws {
        try await Circle.with { circle in
            let manifest = try PlainApp(more: "provider: e2b").write(circle.near)
            circle.network.slow(by: .milliseconds(150))
            try await circle.near.succeed("deploy", manifest)
            #expect(try await circle.near.sum().sum == 6.5)
            try await circle.near.succeed("destroy", "plain", "--yes")
            #expect(try await circle.sandboxes().isEmpty)
        }
    }

    @Test(.timeLimit(.minutes(5))) func replicaOutOfReachComesBackAsItWas() async throws {
        try await Circle.with { circle in
            let near = circle.near
            let app = PlainApp(more: "provider: e2b\npredict: {timeout: 2s}")
            try await near.succeed("deploy", try app.write(near))
            let before = try await near.status("plain")
            let pid = try await near.sum().pid

            circle.network.cut()
            for _ in 0..<3 {
                let answer = try await near.ask("plain/predict", #"{"input": [1]}"#)
                #expect([502, 503].contains(answer.status), "\(answer.text)")
                #expect((answer.retryAfter != nil) == (answer.status == 503))
            }
            try circle.network.heal()
            #expect(try await near.sum().pid == pid)

            // Nobody says that anything is wrong.
            circle.network.plan(.hang, on: "49999 POST /predict")
            #expect(try await near.ask("plain/predict", #"{"input": [1]}"#).status == 504)
            #expect(try await near.sum().pid == pid)

            let after = try await near.status("plain")
            #expect(after.sandbox == before.sandbox)
            #expect(after.state == "serving")
            #expect(after.restarts == before.restarts)
            #expect(try await circle.sandboxes().count == 1)
            try await near.succeed("destroy", "plain", "--yes")
            #expect(try await circle.sandboxes().isEmpty)
        }
    }

    @Test(.timeLimit(.minutes(5))) func replicaIsTakenHoldOfOnceItIsInReach() async throws {
        try await Circle.with { circle in
            let near = circle.near
            try await near.succeed("deploy", try PlainApp(more: "provider: e2b").write(near))
            let before = try await near.status("plain")
            let pid = try await near.sum().pid
            kill(try near.endpoint().pid, SIGKILL)

            circle.network.cut()
            let server = try await near.serve(environment: circle.variables)
            #expect(try await near.ask("plain/predict", #"{"input": [1]}"#).status == 503)
            try circle.network.heal()
            var status = try await near.status("plain")
            while status.state != "serving" { status = try await near.status("plain") }
            #expect(status.sandbox == before.sandbox)
            #expect(try await near.sum().pid == pid)
            #expect(try await circle.sandboxes().count == 1)
            try await near.succeed("destroy", "plain", "--yes")
            #expect(try await circle.sandboxes().isEmpty)
            _ = try await near("down")
            _ = await server.outcome()
        }
    }

    @Test(.timeLimit(.minutes(5))) func whatIsDestroyedOutOfReachGoesOnceItIsInReach() async throws {
        try await Circle.with { circle in
            let near = circle.near
            try await near.succeed("deploy", try PlainApp(more: "provider: e2b").write(near))
            circle.network.cut()
            let destroyed = try await near("destroy", "plain", "--yes")
            #expect(destroyed.status == 1)
            #expect(destroyed.stderr.contains("E2B at \(circle.network.url) does not answer"), "\(destroyed.all)")
            #expect(try await near.ask("plain/predict", #"{"input": [1]}"#).status == 404)
            #expect(try await circle.sandboxes().count == 1)

            try circle.network.heal()
            await circle.network.awaits(1, answersTo: "DELETE /sandboxes/{id}")
            #expect(try await circle.sandboxes().isEmpty)
        }
    }

    @Test(.timeLimit(.minutes(5))) func deployThatIsCutOffIsUndoneOnceTheFarSideIsInReach() async throws {
        try await Circle.with { circle in
            let manifest = try PlainApp(more: "provider: e2b").write(circle.near)
            let network = circle.network
            for call in [
                "GET /v2/sandboxes", "POST /v2/sandboxes", "POST /filesystem.Filesystem/MakeDir",
                "POST /process.Process/Start app", "49999 POST /predict",
            ] {
                let ended = network.answers(to: "DELETE /sandboxes/{id}")
                network.plan(.cutOff, on: call)
                let deploy = try await circle.near("deploy", manifest)
                let story = "\(call): \(deploy.status)\n\(deploy.all)"
                #expect(deploy.status == 12, "\(story)")
                #expect(deploy.stderr.contains("e2b"), "\(story)")
                let left = try await circle.sandboxes().count
                try network.heal()
                if left > 0 { await network.awaits(ended + left, answersTo: "DELETE /sandboxes/{id}") }
                #expect(try await circle.sandboxes().isEmpty, "\(story)")
            }
        }
    }
}

extension Circle {
    /// Deploys while one call goes wrong: it serves, or fails and says which service; then nothing is left.
    fileprivate func deploys(_ manifest: String, through fault: BadNetwork.Fault, of call: String) async throws {
        network.plan(fault, on: call)
        let deploy = try await near("deploy", manifest)
        let story = "\(call), \(fault.rawValue): \(deploy.status)\n\(deploy.all)"
        if deploy.status == 0 {
            #expect(try await near.ask("plain/predict", #"{"input": [1, 2]}"#).status == 200, "\(story)")
            #expect(try await sandboxes().count == 1, "\(story)")
            let destroyed = try await near("destroy", "plain", "--yes")
            #expect(destroyed.status == 0, "\(story)\n\(destroyed.all)")
        } else {
            #expect([12, 15].contains(deploy.status), "\(story)")
            #expect(deploy.stderr.contains("e2b"), "\(story)")
        }
        #expect(network.hasHappened, "\(story)")
        #expect(try await sandboxes().isEmpty, "\(story)")
        try network.heal()
    }
}
