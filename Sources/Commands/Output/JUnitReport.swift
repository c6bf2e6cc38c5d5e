import ControlAPI
import DeploymentCore
import Foundation

/// A test rollout as JUnit XML: a case for each stage and each smoke prediction, the form that CI systems read.
struct JUnitReport {
    let xml: String

    init(_ rollout: RolloutResource, _ manifest: Manifest) {
        var cases: [String] = []
        var failures = 0
        for stage in rollout.stages where stage.stage != .smoke {
            let hasFailed = stage.milliseconds == nil && rollout.problem != nil
            if hasFailed { failures += 1 }
            let body = hasFailed ? Self.failure(rollout.problem?.title ?? "", rollout.problem?.detail ?? "") : ""
            cases.append(Self.testcase("stage", stage.stage.rawValue, stage.milliseconds ?? 0, body))
        }
        for smoke in rollout.smoke {
            if !smoke.passed { failures += 1 }
            let detail = (smoke.failures + [smoke.response.map { "answer: \($0)" } ?? ""]).joined(separator: "\n")
            let body = smoke.passed ? "" : Self.failure(smoke.failures.first ?? "failed", detail)
            cases.append(Self.testcase("smoke", smoke.name, smoke.milliseconds, body))
        }
        // Smoke predictions that an earlier failure kept from running are skipped, never passed.
        for test in manifest.smoke.dropFirst(rollout.smoke.count) {
            cases.append(Self.testcase("smoke", test.name, 0, "<skipped message=\"an earlier stage failed\"/>"))
        }
        let skipped = manifest.smoke.count - min(rollout.smoke.count, manifest.smoke.count)
        let time = Double((rollout.finishedAt ?? rollout.startedAt) - rollout.startedAt) / 1_000
        xml = """
            <?xml version="1.0" encoding="UTF-8"?>
            <testsuites>
            <testsuite name="\(Self.escape(rollout.deployment))" tests="\(cases.count)" failures="\(failures)" \
            errors="0" skipped="\(skipped)" time="\(time)">
            \(cases.joined(separator: "\n"))
            </testsuite>
            </testsuites>

            """
    }

    private static func testcase(_ kind: String, _ name: String, _ milliseconds: Double, _ body: String) -> String {
        let attributes = "classname=\"\(kind)\" name=\"\(escape(name))\" time=\"\(milliseconds / 1_000)\""
        return body.isEmpty ? "<testcase \(attributes)/>" : "<testcase \(attributes)>\(body)</testcase>"
    }

    private static func failure(_ message: String, _ detail: String) -> String {
        "<failure message=\"\(escape(message))\">\(escape(detail))</failure>"
    }

    private static func escape(_ text: String) -> String {
        // XML 1.0 has no way to write most control characters, and apps print them.
        let allowed = text.unicodeScalars.filter { $0.value >= 0x20 || $0 == "\n" || $0 == "\t" }
        return String(String.UnicodeScalarView(allowed))
            .replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
            .replacing("\"", with: "&quot;")
    }
}
