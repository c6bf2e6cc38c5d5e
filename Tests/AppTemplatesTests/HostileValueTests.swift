import AppTemplates
import BerthTestSupport
import DeploymentCore
import Foundation
import Testing

/// Whatever a manifest says stays a string constant of the rendered Python.
@Suite struct HostileValueTests {
    static let hostile = [
        "\"); import os; os.system(\"true\") #", "'); import os #", "\"\"\"\nimport os\n\"\"\"", "'''\nimport os\n'''",
        "{{ name }}", "{{ name | python }}", "{% if name %}", "{% endif %}", "{# comment #}", "\\", "\\\"",
        "\\N{BULLET}",
        "a\nb\r\nc\rd\te", "\0", "\u{85}\u{2028}\u{2029}", "\u{202E}gnp.exe", "\u{1F600}\u{10FFFF}", "\u{FEFF}",
        "é\u{301}",
        "\u{D7FF}\u{E000}", "# coding: utf-7", "f\"{1/0}\"", "", String(repeating: "x", count: 5000),
        "%s {0} $HOME `id`",
    ]

    @Test(.enabled(if: program("python3") != nil, missing("python3")), arguments: Manifest.Server.Framework.allCases)
    func hostileTextChangesNoSyntax(framework: Manifest.Server.Framework) async throws {
        let catalog = try shippedTemplates()
        try await withTemporaryFolder { folder in
            for (template, file) in modelFiles {
                try write(try catalog.render(manifest(framework, template)), to: "\(folder)/\(template)")
                for (index, text) in Self.hostile.enumerated() {
                    let suffix = TemplateSuffix.of(file)
                    let rendered = try catalog.render(
                        manifest(
                            framework, template, name: text, type: text, file: "files/\(text)\(suffix)",
                            body: ["input": .string(text), text: [.string(text)]]))
                    try write(rendered, to: "\(folder)/\(template)-\(index)")
                }
                try await compare(template, in: folder)
            }
        }
    }

    @Test(.enabled(if: program("python3") != nil, missing("python3")))
    func hostileTextChangesNoSyntaxOfAnOwnLauncher() async throws {
        let catalog = try shippedTemplates()
        func own(_ folder: String) -> Manifest {
            Manifest(name: "x", server: .init(app: .own("\(folder)/app.py:app"), workingDirectory: folder))
        }
        try await withTemporaryFolder { folder in
            try write(try catalog.render(own("benign")), to: "\(folder)/own")
            for (index, text) in Self.hostile.enumerated() where !text.contains(":") && !text.isEmpty {
                try write(try catalog.render(own("a\(text)")), to: "\(folder)/own-\(index)")
            }
            try await compare("own", in: folder)
        }
    }

    /// Compares the trees of `<name>-<index>` with those of `<name>`, and the constants with what was put in.
    private func compare(_ name: String, in folder: String) async throws {
        for file in try FileManager.default.contentsOfDirectory(atPath: "\(folder)/\(name)") where file.hasSuffix(".py")
        {
            let indices = Self.hostile.indices.filter {
                FileManager.default.fileExists(atPath: "\(folder)/\(name)-\($0)/\(file)")
            }
            let paths = ["\(name)/\(file)"] + indices.map { "\(name)-\($0)/\(file)" }
            let (code, output) = try await run("python3", [beside("python/ast_shape.py")] + paths, in: folder)
            try #require(code == 0, "\(output)")
            let lines = try output.split(separator: "\n").map { try JSONValue(parsing: String($0)) }
            try #require(lines.count == paths.count)
            for (index, line) in zip(indices, lines.dropFirst()) {
                let text = Self.hostile[index]
                #expect(line["shape"] == lines[0]["shape"], "\(file) with \(text.debugDescription)")
                if let value = line["values"]?["NAME"]?.string { #expect(same(value, text)) }
                if let value = line["values"]?["MODEL_TYPE"]?.string { #expect(same(value, text)) }
                if let value = line["values"]?["WORKING_DIRECTORY"]?.string { #expect(same(value, "a\(text)")) }
            }
        }
    }

    /// Equal scalar by scalar; `==` takes composed and decomposed letters for the same.
    private func same(_ one: String, _ other: String) -> Bool {
        one.unicodeScalars.elementsEqual(other.unicodeScalars)
    }
}

private enum TemplateSuffix {
    static func of(_ file: String) -> String { "." + (file.split(separator: ".").last ?? "") }
}
