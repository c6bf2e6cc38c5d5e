import ControlAPI
import Foundation
import Testing

/// What `berth test` wrote: `<name>.json`, and `<name>.xml` as a CI system reads it.
struct TestReport {
    var rollout: RolloutResource
    var cases: [Case]

    /// One `testcase` of the XML.
    struct Case {
        var kind: String
        var name: String
        var failure: String?
        var isSkipped: Bool
    }

    init(_ name: String, _ cli: CLI) throws {
        let json = try Data(contentsOf: URL(fileURLWithPath: "\(cli.folder)/\(name).json"))
        rollout = try JSONDecoder().decode(RolloutResource.self, from: json)
        let xml = try String(contentsOfFile: "\(cli.folder)/\(name).xml", encoding: .utf8)
        let pattern = /<testcase classname="(\w+)" name="([^"]*)" time="[0-9.e-]+"(?:\/>|>(.*?)<\/testcase>)/
            .dotMatchesNewlines()
        cases = xml.matches(of: pattern).map { match in
            let body = match.3.map(String.init) ?? ""
            return Case(
                kind: String(match.1), name: String(match.2),
                failure: body.firstMatch(of: /<failure message="([^"]*)"/).map { String($0.1) },
                isSkipped: body.contains("<skipped"))
        }
        #expect(xml.contains("tests=\"\(cases.count)\""))
        #expect(xml.contains("failures=\"\(cases.count { $0.failure != nil })\""))
    }
}
