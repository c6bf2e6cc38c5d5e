import ControlAPI
import ControlPlane
import DeploymentCore
import Foundation
import Testing

/// One control plane deploys to another one that acts as E2B: the full circle.
@Suite struct RemoteCircleTests {
    @Test(.timeLimit(.minutes(5))) func deploymentLivesElsewhereAsItDoesHere() async throws {
        try await Circle.withFarSide { far, variables in
            try await CLI.with { near in
                let manifest = try PlainApp(more: "provider: e2b").write(near)
                let deploy = try await near.succeed("deploy", manifest, environment: variables)
                for stage in RolloutStage.allCases { #expect(deploy.stderr.contains(stage.rawValue), "\(deploy.all)") }
                let answer = try await near.ask("plain/predict", #"{"input": [1, 2, 3.5]}"#)
                #expect(answer.status == 200, "\(answer.text)")
                let made = try await Circle.sandboxes(far)
                #expect(made.map(\.state) == ["running"])
                #expect(made.first?.labels["berth-deployment"] == "plain")
                #expect(try await near.exec("plain", "sh", "-c", "echo $BERTH_DEPLOYMENT").stdout == "plain\n")

                // Another revision takes its place.
                try PlainApp(version: 2, more: "provider: e2b").write(near)
                try await near.succeed("deploy", manifest, environment: variables)
                #expect(try await near.ask("plain/predict", #"{"input": [1]}"#).text.contains(#""version": 2"#))

                // The next control plane adopts it after a kill -9.
                let before = try await near.status("plain").sandbox
                kill(try near.endpoint().pid, SIGKILL)
                let server = try await near.serve(environment: variables)
                let adopted = try await near.settled("plain")
                #expect(adopted.sandbox == before)
                #expect(adopted.state == "serving")
                #expect(try await near.ask("plain/predict", #"{"input": [1]}"#).status == 200)

                // One that ends is replaced.
                for row in try await Circle.sandboxes(far) where row.labels["berth-sandbox"] == before {
                    try await far.succeed("sandbox", "kill", row.sandbox)
                }
                var status = try await near.settled("plain")
                while status.sandbox == before { status = try await near.settled("plain") }
                #expect(status.state == "serving", "\(status.reason ?? "")")
                #expect(try await near.ask("plain/predict", #"{"input": [1]}"#).status == 200)

                try await near.succeed("destroy", "plain", "--yes")
                #expect(try await Circle.sandboxes(far).isEmpty)
                _ = try await near("down")
                _ = await server.outcome()
            }
        }
    }

    @Test(.timeLimit(.minutes(5))) func failuresEndAsTheyDoHereAndLeaveNothing() async throws {
        try await Circle.withFarSide { far, variables in
            try await CLI.with { near in
                var app = PlainApp(more: "provider: e2b")
                app.prologue = "raise SystemExit('broken on purpose')"
                let ended = try await near("deploy", try app.write(near), environment: variables)
                #expect(ended.status == 13, "\(ended.all)")
                #expect(ended.all.contains("broken on purpose"))
                app.prologue = ""
                app.expectedSum = 7
                let wrong = try await near("deploy", try app.write(near), environment: variables)
                #expect(wrong.status == 15, "\(wrong.all)")
                #expect(try await Circle.sandboxes(far).isEmpty)
            }
        }
    }

    @Test(.timeLimit(.minutes(5))) func sandboxesAreUsedByHand() async throws {
        try await Circle.withFarSide { far, _ in
            let id = try await far.succeed("sandbox", "create", "--timeout", "120", "-e", "GREETING=hello").stdout
                .trimmingCharacters(in: .whitespacesAndNewlines)
            let said = try await far("sandbox", "exec", id, "--", "sh", "-c", "echo $GREETING; exit 3")
            #expect(said.status == 3)
            #expect(said.stdout == "hello\n", "\(said.all)")
            let file = try far.write("notes/a.txt", "some text")
            try await far.succeed("sandbox", "cp", file, "\(id):/tmp/b.txt")
            #expect(try await far.succeed("sandbox", "cp", "\(id):/tmp/b.txt", "-").stdout == "some text")
            try await far.succeed("sandbox", "pause", id)
            let refused = try await far("sandbox", "exec", id, "--", "true")
            #expect(refused.status == 1)
            #expect(refused.stderr.contains("is paused"))
            try await far.succeed("sandbox", "resume", id, "--timeout", "120")
            #expect(try await far.succeed("sandbox", "exec", id, "--", "cat", "/tmp/b.txt").stdout == "some text")
            try await far.succeed("sandbox", "kill", id)
            #expect(try await far("sandbox", "kill", id).status == 1)
            #expect(try await Circle.sandboxes(far).isEmpty)
        }
    }

    @Test(.timeLimit(.minutes(5))) func doctorFindsTheServiceWellAndCleansUp() async throws {
        try await Circle.withFarSide { far, variables in
            let examined = try await far("doctor", "--provider", "e2b", environment: variables)
            for name in ["key", "create", "files", "command", "clean-up"] {
                #expect(examined.stdout.contains("✓ \(name): "), "\(examined.all)")
            }
            #expect(try await Circle.sandboxes(far).isEmpty)
            var wrong = variables
            wrong["E2B_API_KEY"] = "e2b_" + String(repeating: "0", count: 40)
            let refused = try await far("doctor", "--provider", "e2b", environment: wrong)
            #expect(refused.status == 12)
            #expect(refused.stdout.contains("✗ key: "))
            #expect(!refused.all.contains(wrong["E2B_API_KEY"] ?? "?"))
        }
    }
}
