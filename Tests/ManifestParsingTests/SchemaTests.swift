import DeploymentCore
import Foundation
import Testing

@testable import ManifestParsing

/// The published schema and the reference manifest are true.
@Suite struct SchemaTests {
    private static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "manifests")

    private func text(_ name: String) throws -> String {
        try String(contentsOf: Self.folder.appending(path: name), encoding: .utf8)
    }

    /// Every key of the definitions, with the one it belongs to.
    private var allKeys: [(path: String, key: Key)] {
        func visit(_ keys: [Key], _ path: String) -> [(String, Key)] {
            keys.flatMap { key in [("\(path)\(key.name)", key)] + inside(key.shape, "\(path)\(key.name).") }
        }
        func inside(_ shape: Shape, _ path: String) -> [(String, Key)] {
            switch shape {
            case .mapping(let keys), .matcher(let keys): visit(keys, path)
            case .list(let element, _), .dictionary(let element, _, _): inside(element, path)
            case .oneOf(let shapes): shapes.flatMap { inside($0, path) }
            default: []
            }
        }
        return visit(ManifestSchema.root, "")
    }

    @Test func schemaOnDiskIsTheGeneratedOne() throws {
        let generated = ManifestSchema.json()
        if ProcessInfo.processInfo.environment["BERTH_WRITE_SCHEMA"] == "1" {
            try generated.write(to: Self.folder.appending(path: "berth.schema.json"), atomically: true, encoding: .utf8)
        }
        #expect(
            try text("berth.schema.json") == generated,
            "run the tests once with BERTH_WRITE_SCHEMA=1 to write the schema")
        let schema = try JSONValue(parsing: generated)
        #expect(schema["$schema"] == "https://json-schema.org/draft/2020-12/schema")
        #expect(schema["properties"]?.object?.count == ManifestSchema.root.count)
        #expect(schema["properties"]?["health"]?["properties"]?["interval"]?["default"] == "50ms")
    }

    @Test func referenceManifestParses() throws {
        let parsed = try accepted(try text("reference.yaml"))
        #expect(parsed.manifest.name == "iris")
        #expect(parsed.warnings.isEmpty)
        #expect(parsed.manifest.health.expect == Manifest.Health.renderedExpectation)
    }

    @Test func everyManifestBesideTheReferenceParses() throws {
        let names = try FileManager.default.contentsOfDirectory(atPath: Self.folder.path(percentEncoded: false))
        for name in names.sorted() where name.hasSuffix(".yaml") {
            #expect(throws: Never.self, "\(name)") { try accepted(try text(name)) }
        }
    }

    @Test func mutilatedManifestsNeverCrash() throws {
        let bytes = Array(try text("reference.yaml").utf8.filter { $0 != UInt8(ascii: "#") }.prefix(1500))
        var state: UInt64 = 7
        var refusals = 0
        for _ in 0..<200 {
            var mutilated = bytes
            for _ in 0..<4 {
                // Knuth's linear congruential generator; its high bits are good enough here.
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                let marks = Array("{}[]:,-&*!|>'\"%@`?#\t\n\0\u{FF}~<".utf8)
                mutilated[Int(state >> 33) % bytes.count] = marks[Int(state >> 20) % marks.count]
            }
            do {
                _ = try ManifestParser.parse(mutilated, file: "m.yaml")
            } catch {
                refusals += 1
                #expect(error.diagnostics.contains { $0.severity == .error && !$0.message.isEmpty })
            }
        }
        #expect(refusals > 0)
    }

    @Test func referenceManifestSaysTheDefaults() throws {
        let manifest = try accepted(try text("reference.yaml")).manifest
        var health = Manifest.Health(expect: Manifest.Health.renderedExpectation)
        health.headers = manifest.health.headers
        #expect(manifest.health == health)
        #expect(manifest.predict == Manifest.Predict())
        #expect(manifest.rollout == Manifest.RolloutSettings())
        #expect(manifest.server.port == Manifest.Server.defaultPort)
        #expect(manifest.server.framework == Manifest.Server().framework)
    }

    @Test func referenceManifestNamesEveryKey() throws {
        let reference = try text("reference.yaml")
        // Alternatives stand in comments behind `or:`.
        let active = reference.replacing("# or: ", with: "")
            .split(separator: "\n").filter { !$0.trimmingCharacters(in: .whitespaces).hasPrefix("#") }
            .joined(separator: "\n")
        for (path, key) in allKeys {
            #expect(active.contains(try Regex("(^|[\\s{,-])\(key.name):")), "\(path) is missing")
        }
    }

    @Test func everyAlternativeOfTheReferenceManifestParses() throws {
        let reference = try text("reference.yaml")
        let alternatives = reference.split(separator: "\n").filter { $0.contains("# or: ") }
        #expect(alternatives.count == 5)
        for line in alternatives {
            let alternative = line.replacing("# or: ", with: "")
            var lines = reference.split(separator: "\n", omittingEmptySubsequences: false)
                .map { $0 == line ? Substring(alternative) : $0 }
            // Whatever excludes the alternative goes.
            if !alternative.contains("working_directory") && !alternative.contains("form:") {
                lines.removeAll { $0 == "  template: sklearn" }
            }
            if alternative.contains("command:") { lines.removeAll { $0 == "  framework: fastapi" } }
            if alternative.contains("working_directory") {
                lines = lines.map { $0 == "  template: sklearn" ? "  app: app.py" : $0 }
            }
            #expect(throws: Never.self, "\(alternative)") { try accepted(lines.joined(separator: "\n")) }
        }
    }

    @Test func everyKeyOfTheReferenceManifestHasAComment() throws {
        let lines = try text("reference.yaml").split(separator: "\n", omittingEmptySubsequences: false)
        for (index, line) in lines.enumerated() where line.contains(":") && !line.contains("#") {
            #expect(lines[index - 1].trimmingCharacters(in: .whitespaces).hasPrefix("#"), "\(line)")
        }
    }

    @Test func everyKeyIsDocumentedInOneSentence() {
        for (path, key) in allKeys {
            #expect(key.doc.count > 5 && !key.doc.hasSuffix(".") && !key.doc.contains("\n"), "\(path)")
        }
    }

    @Test func defaultsOfTheDefinitionsHold() throws {
        let empty = try accepted("name: a\nserver: {app: app.py}\nsmoke: [{}]\n").manifest
        for (path, key) in allKeys {
            guard let value = key.defaultValue, path != "server.exclude", !path.contains("expect") else { continue }
            let nested = path.replacing("smoke.", with: "smoke[0].")
            let manifest = try accepted(
                "name: a\nserver: {app: app.py}\nsmoke: [{}]\n",
                overrides: ["\(nested)=\(value.string ?? value.description)"]
            ).manifest
            #expect(manifest == empty, "\(path)")
        }
    }

    @Test func patternsAndRulesAgree() throws {
        let samples = [
            "iris", "Iris", "a-b", "-a", "3.11", "3.11.7", "3.111", "2.7", "/health", "health", "none", "a/b", "/a",
            "../a",
            "a/./b", "a//b", "app.py", "app:app", "pkg.mod:app", "app", "PORT", "BERTH_X", "LOG_LEVEL", "1A",
            String(repeating: "0f", count: 32), "X-A", "a b", "", "numpy==2", "*.log",
        ]
        let rules: [TextRule] = [
            .label, .pythonVersion, .urlPath, .urlPathOrNone, .target, .app, .environmentName, .sha256,
        ]
        for rule in rules {
            let regex = try Regex(try #require(rule.pattern))
            for sample in samples {
                #expect(sample.contains(regex) == (rule.check(sample) == nil), "\(rule.expectation): \(sample)")
            }
        }
    }

    @Test func durationsAreWrittenAsTheyAreRead() {
        for text in ["0s", "1ms", "50ms", "1s", "1500ms", "120s", "90s", "5m", "1h", "36h"] {
            #expect(DurationText.parse(text).map(DurationText.write) == text)
        }
        for text in ["", "s", "1", "1 s", "-1s", "1.5s", "1S", "1d", "1234567890s", "١s"] {
            #expect(DurationText.parse(text) == nil, "\(text)")
        }
    }
}
