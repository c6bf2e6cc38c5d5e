import ControlAPI
import DeploymentCore
import Foundation
import Orchestration
import Testing

/// Deployments that give up their sandbox when nobody asks anything of them.
@Suite(.timeLimit(.minutes(10))) struct SleepTests {
    /// An app that many clients can connect to at once.
    static func app(_ more: String) -> PlainApp {
        PlainApp(prologue: "ThreadingHTTPServer.request_queue_size = 128", more: more)
    }

    @Test(arguments: Isolation.allCases)
    func deploymentThatNobodyAsksIsStoppedAndWokenOnceByFiftyRequests(_ rung: Isolation) async throws {
        try await CLI.with(rung) { cli in
            try await cli.succeed("deploy", try Self.app("idle: {stop_after: 2s}").write(cli))
            #expect(try await cli.sum().sum == 6.5)
            let log = try cli.start(["logs", "plain", "--follow"])
            try await log.prints("berth asleep")
            let sleeping = try await cli.status("plain")
            #expect(sleeping.state == "asleep")
            #expect(sleeping.sandbox == nil)
            while cli.noteSandboxes() != [] {}
            #expect(cli.remains() == [])
            // Whoever only looks wakes nobody.
            let health = try await cli.ask("plain/health")
            #expect(health.status == 200)
            #expect(try health.json()["status"] == "asleep")
            #expect(cli.noteSandboxes() == [])

            let answers = try await withThrowingTaskGroup(of: CLI.Sum.self) { group in
                for _ in 0..<50 { group.addTask { try await cli.sum() } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(answers.map(\.sum) == Array(repeating: 6.5, count: 50))
            #expect(Set(answers.map(\.pid)).count == 1)
            try await log.prints("berth woken: cold start")
            log.signal(SIGINT)
            _ = await cli.finish(log)
            let events = try await cli.json([LifecycleResource].self, "events", "plain")
            #expect(events.prefix(2).map(\.kind) == ["asleep", "woken"])
        }
    }

    @Test func pauseComesBeforeTheSleepAndAStandbyShortensTheWaking() async throws {
        try await CLI.with { cli in
            let server = try await cli.serve(environment: ["BERTH_STANDBYS": "3"])
            let names = "with open(os.environ['BERTH_IMPORTS'], 'w') as names: names.write('xml.dom.minidom')"
            let app = PlainApp(prologue: names, more: "idle: {pause_after: 2s, stop_after: 4s}")
            try await cli.succeed("deploy", try app.write(cli))
            let log = try cli.start(["logs", "plain", "--follow"])
            try await log.prints("berth paused")
            try await log.prints("berth asleep")
            while try await cli.status("plain").standbys != 1 {}
            #expect(try await cli.sum().sum == 6.5)
            try await log.prints("berth woken: standby")
            #expect(try await cli.settled("plain").restarts == 0)
            log.signal(SIGINT)
            _ = await cli.finish(log)
            try await cli.succeed("down")
            #expect(await cli.finish(server).status == 0)
        }
    }

    @Test func sleeperHasAStandbyUnderTheNextControlPlaneToo() async throws {
        try await CLI.with { cli in
            let first = try await cli.serve(environment: ["BERTH_STANDBYS": "3"])
            let names = "with open(os.environ['BERTH_IMPORTS'], 'w') as names: names.write('xml.dom.minidom')"
            try await cli.succeed("deploy", try PlainApp(prologue: names, more: "idle: {stop_after: 2s}").write(cli))
            let standby = try await cli.standby(of: "plain")
            try await cli.asleep()
            first.signal(SIGTERM)
            _ = await cli.finish(first)
            let next = try await cli.serve(environment: ["BERTH_STANDBYS": "3"])
            let other = try await cli.standby(of: "plain", other: standby)
            let log = try cli.start(["logs", "plain", "--follow"])
            #expect(try await cli.sum().sum == 6.5)
            #expect(try await cli.status("plain").sandbox == other)
            try await log.prints("berth woken: standby")
            log.signal(SIGINT)
            _ = await cli.finish(log)
            try await cli.succeed("down")
            #expect(await cli.finish(next).status == 0)
        }
    }

    @Test func verbsOnASleepingDeploymentDoWhatTheySay() async throws {
        try await CLI.with { cli in
            let manifest = try Self.app("idle: {stop_after: 1s}").write(cli)
            try await cli.succeed("deploy", manifest)
            try await cli.asleep()
            #expect(try await cli.succeed("pause", "plain").stdout == "plain: asleep\n")
            let refused = try await cli.exec("plain", "true")
            #expect(refused.status == 1)
            #expect(refused.stderr.contains("plain is asleep"))
            #expect(refused.stderr.contains("berth resume plain"))
            #expect(try await cli.succeed("logs", "plain").stdout.contains("version 1 starts"))
            #expect(try await cli.succeed("top", "plain").stdout.contains(/\nplain +asleep +-/))
            #expect(try await cli.succeed("status").stdout.contains("asleep"))
            #expect(try await cli.succeed("resume", "plain").stdout == "plain: serving\n")
            #expect(try await cli.sum().version == 1)

            try await cli.asleep()
            try PlainApp(version: 2, more: "idle: {stop_after: 1s}").write(cli)
            try await cli.succeed("deploy", manifest)
            #expect(try await cli.sum().version == 2)
            try await cli.asleep()
            try await cli.succeed("rollback", "plain")
            #expect(try await cli.sum().version == 1)
            try await cli.asleep()
            try await cli.succeed("destroy", "plain", "--yes")
            #expect(try await cli.ask("plain/predict", "{}").status == 404)
        }
    }

    @Test(arguments: [false, true])
    func sleepingDeploymentIsAsleepUnderTheNextControlPlaneToo(_ isKilled: Bool) async throws {
        try await CLI.with { cli in
            let first = try await cli.serve()
            try await cli.succeed("deploy", try Self.app("idle: {stop_after: 1s}").write(cli))
            try await cli.asleep()
            first.signal(isKilled ? SIGKILL : SIGTERM)
            _ = await cli.finish(first)
            let next = try await cli.serve()
            #expect(try await cli.status("plain").state == "asleep")
            #expect(cli.noteSandboxes() == [])
            #expect(try await cli.sum().sum == 6.5)
            try await cli.succeed("down")
            #expect(await cli.finish(next).status == 0)
        }
    }

    #if DEBUG
        /// Kills the control plane at one place of a sleep, a waking or an end, and looks at what the next one makes of it.
        @Test(arguments: CrashPoint.lifecycle, Machine.outerRungs)
        func controlPlaneKilledAtAnyPlaceOfALifeRecovers(_ point: CrashPoint, _ rung: Isolation) async throws {
            try await CLI.with(rung) { cli in
                let manifest = try Self.app("idle: {stop_after: 1s}").write(cli)
                if [.waking, .awake].contains(point) {
                    let early = try await cli.serve()
                    try await cli.succeed("deploy", manifest)
                    try await cli.asleep()
                    early.signal(SIGTERM)
                    _ = await cli.finish(early)
                }
                let doomed = try await cli.serve(environment: ["BERTH_CRASH_AT": "\(point)"])
                switch point {
                case .resting, .asleep: try await cli.succeed("deploy", manifest)
                case .ending:
                    try await cli.succeed("deploy", manifest)
                    #expect(try await cli("destroy", "plain", "--yes").status == 1)
                default: _ = try? await cli.sum()
                }
                #expect(await cli.finish(doomed).signal == SIGKILL)

                let next = try await cli.serve()
                if point == .ending {
                    #expect(try await cli("status", "plain").stderr.contains("there is no deployment named plain"))
                    #expect(cli.noteSandboxes() == [])
                } else {
                    // Each way there is one truth, and the sandboxes are what it says.
                    let status = try await cli.status("plain")
                    let isAsleep = [.asleep, .waking].contains(point)
                    if isAsleep {
                        #expect(status.state == "asleep")
                        #expect(cli.noteSandboxes() == [])
                    }
                    #expect(try await cli.sum().sum == 6.5)
                    #expect(try await cli.events().filter { $0 == "asleep" }.count >= (point == .resting ? 0 : 1))
                }
                try await cli.succeed("down")
                #expect(await cli.finish(next).status == 0)
                #expect(cli.leaks() == [])
            }
        }
    #endif
}

extension CLI {
    /// The kinds of what happened to `plain`.
    func events() async throws -> [String] {
        try await json([LifecycleResource].self, "events", "plain").map(\.kind)
    }

    /// Waits until `plain` sleeps, which its log says last.
    fileprivate func asleep() async throws {
        let log = try start(["logs", "plain", "--follow", "--tail", "1"])
        try await log.prints("berth asleep")
        log.signal(SIGINT)
        _ = await finish(log)
    }
}
