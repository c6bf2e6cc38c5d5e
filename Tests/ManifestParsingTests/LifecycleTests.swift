import DeploymentCore
import Foundation
import Testing

@testable import ManifestParsing

@Suite struct LifecycleTests {
    private static let app = "name: a\nserver: {app: app.py}\n"

    @Test func idleTimesAndTheLengthOfLifeAreRead() throws {
        let manifest = try accepted(Self.app + "idle: {pause_after: 10m, stop_after: 1h}\nttl: 12h\n").manifest
        #expect(manifest.idle == Manifest.Idle(pauseAfter: .seconds(600), stopAfter: .seconds(3_600)))
        #expect(manifest.ttl == .seconds(43_200))
        let stop = try accepted(Self.app + "idle: {stop_after: 30s}\n").manifest
        #expect(stop.idle == Manifest.Idle(stopAfter: .seconds(30)))
        #expect(stop.ttl == nil)
        #expect(try accepted(Self.app + "idle: {}\n").manifest.idle == nil)
    }

    @Test func sleepThatWouldComeBeforeThePauseIsRefused() throws {
        for times in ["pause_after: 10m, stop_after: 10m", "pause_after: 10m, stop_after: 1m"] {
            let errors = refused(Self.app + "idle: {\(times)}\n")
            #expect(errors.contains("must be longer than 'idle.pause_after'"), "\(errors)")
        }
        for wrong in ["idle: {stop_after: 100ms}", "ttl: 0s", "ttl: 2", "ttl: 9000h"] {
            #expect(throws: ManifestErrors.self, "\(wrong)") { try accepted(Self.app + wrong + "\n") }
        }
    }

    /// The settings as an earlier version has stored them.
    private struct Earlier: Encodable {
        var pauseAfter = Duration.seconds(600)
    }

    @Test func revisionOfAnEarlierVersionStillReads() throws {
        let stored = try JSONEncoder().encode(Earlier())
        #expect(
            try JSONDecoder().decode(Manifest.Idle.self, from: stored) == Manifest.Idle(pauseAfter: .seconds(600)))
    }
}
