import DeploymentCore
import Testing

@testable import ManifestParsing

/// How much isolation a manifest may demand.
@Suite struct IsolationTests {
    @Test func everyRungCanBeDemanded() throws {
        for rung in Isolation.allCases {
            let text = "name: iris\nmodel: iris.joblib\nisolation: \(rung.rawValue)\n"
            #expect(try accepted(text).manifest.isolation == rung)
        }
        #expect(try accepted("name: iris\nmodel: iris.joblib\n").manifest.isolation == nil)
    }

    @Test func unknownRungIsRefusedWithTheKnownOnes() {
        let text = refused("name: iris\nmodel: iris.joblib\nisolation: namespace\n")
        #expect(text.contains("'isolation' must be"))
        #expect(text.contains("namespaces"))
    }
}
