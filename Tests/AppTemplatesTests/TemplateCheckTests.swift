import AppTemplates
import BerthTestSupport
import DeploymentCore
import Foundation
import Testing

/// Mistakes in templates fail when the folder is read, with file and line.
@Suite struct TemplateCheckTests {
    /// Reads a folder with one template of this text, and renders it.
    private func error(_ text: String, variables: String = #"["name"]"#) async throws -> BerthError? {
        try await withTemporaryFolder { folder in
            let files = #""files": [{"path": "app.py", "template": "a.stencil", "variables": "# + variables + "}]"
            try write(
                [
                    RenderedFile(path: "fastapi/one/template.json", contents: "{\"summary\": \"\", \(files)}"),
                    RenderedFile(path: "flask/one/template.json", contents: "{\"summary\": \"\", \(files)}"),
                    RenderedFile(path: "standby/standby.py", contents: ""),
                    RenderedFile(path: "own/template.json", contents: "{\"summary\": \"\", \(files)}"),
                    RenderedFile(path: "a.stencil", contents: text),
                ], to: folder)
            do {
                _ = try TemplateCatalog(folder: folder).render(manifest(.fastapi, "one"))
                return nil
            } catch let error as BerthError {
                return error
            }
        }
    }

    @Test func undeclaredVariableFailsWithFileAndLine() async throws {
        let error = try await error("a = 1\nb = {{ colour | python }}\n")
        #expect(
            error?.message == "a.stencil:2: variable 'colour' is not declared in fastapi/one/template.json"
                || error?.message == "a.stencil:2: variable 'colour' is not declared in flask/one/template.json"
                || error?.message == "a.stencil:2: variable 'colour' is not declared in own/template.json")
    }

    @Test func variableWithoutAValueFailsWithFileAndLine() async throws {
        let error = try await error("\n\nb = {{ colour | python }}\n", variables: #"["colour"]"#)
        #expect(error?.message == "a.stencil:3: variable 'colour' has no value")
    }

    @Test(arguments: [
        "x = {{ name }}", "x = {{name}}", "x = {{ name | upper }}", "x = {{ name | python | upper }}",
        "x = {{ name|default:\"\" }}", "x = {{ }}", "x = {{ name | python", "{% include \"b\" %}",
        "{% for n in name %}", "{% filter python %}", "{# hidden #}", "{% if name or name %}{% endif %}",
        "{% if name %}", "{% endif %}", "x = {{\nname | python }}",
    ])
    func valuesOutsideTheFilterAreRefused(text: String) async throws {
        let error = try await error(text)
        #expect(error?.message.hasPrefix("a.stencil:1: ") == true, "\(error?.message ?? "was accepted")")
    }

    @Test func filterAndConditionsAreAccepted() async throws {
        let text = "x = {{ name | python }}\n{% if not name %}\ny = 1\n{% else %}\ny = {}\n{% endif %}\n"
        #expect(try await error(text, variables: #"["name", "golden"]"#) == nil)
    }

    @Test func declarationIsChecked() async throws {
        let error = try await error("x = 1", variables: "[1]")
        #expect(error?.message.hasSuffix("template.json: 'variables' is not a list of strings") == true)
    }
}
