import DeploymentCore
import Testing

/// The port that the code interpreter has in sandboxes of its templates.
@Suite struct InterpreterTemplateTests {
    @Test(arguments: [
        "code-interpreter-v1", "code-interpreter", "Code-Interpreter-v1", "code-interpreter-v1:default",
        "team/code-interpreter-large:v2",
    ])
    func itsPortIsTaken(template: String) throws {
        let error = #expect(throws: BerthError.self) {
            try InterpreterTemplate.check(template: template, port: 49_999)
        }
        #expect(error?.code == .invalidManifest)
        #expect(error?.message.contains("port 49999 is taken in sandboxes of template '\(template)'") == true)
        #expect(error?.suggestion?.contains("server.port") == true)
    }

    @Test(arguments: [
        ("code-interpreter-v1", 8000), ("base", 49_999), ("code-interpreter/base", 49_999),
        ("my-code-interpreter", 49_999), ("", 49_999),
    ])
    func othersAreNot(template: String, port: Int) throws {
        try InterpreterTemplate.check(template: template, port: port)
    }
}
