import DeploymentCore
import ManifestParsing
import Testing

/// `--set path=value`.
@Suite struct OverrideTests {
    @Test func flagsSetWhatTheyName() throws {
        let manifest = try accepted(
            iris("health: {timeout: 1s}\nsmoke: [{name: a}]"),
            overrides: [
                "health.timeout=2s", "health.interval=20ms", "name=other", "smoke[0].within=5ms", "smoke[1].name=b",
                "smoke[0].expect.\"$.a.b\"=3", "python=3.10", "env.URL=http://x/?a=b#c", "env.EMPTY=", "env.LIST='[1]'",
                "requirements=[numpy, scipy]", "server.port=80", "name=last",
            ]
        ).manifest
        #expect(manifest.name == "last")
        #expect(manifest.health.timeout == .seconds(2))
        #expect(manifest.health.interval == .milliseconds(20))
        #expect(manifest.smoke.map(\.name) == ["a", "b"])
        #expect(manifest.smoke[0].within == .milliseconds(5))
        #expect(manifest.smoke[0].expect == [.init(path: [.key("a"), .key("b")], matcher: .equals(3))])
        #expect(manifest.python == "3.10")
        #expect(manifest.env == ["URL": "http://x/?a=b#c", "EMPTY": "", "LIST": "[1]"])
        #expect(manifest.requirements == .list(["numpy", "scipy"]))
        #expect(manifest.server.port == 80)
    }

    @Test(arguments: [
        (
            "health.timeout=2",
            """
            --set health.timeout: 'health.timeout' must be a duration such as 500ms, 30s, 5m or 1h, not '2'
              did you mean '2s'?
            """
        ),
        (
            "helth.timeout=2s",
            """
            --set helth.timeout: unknown key 'helth'
              did you mean 'health'?
            """
        ),
        ("model.type=x", "--set model.type: 'model' is text, so nothing in it can be set"),
        ("smoke[3].name=x", "--set smoke[3].name: 'smoke' has 0 elements, so there is no [3]"),
        (
            "name",
            """
            --set name: must be path=value
              as in '--set health.timeout=2s'
            """
        ),
        (
            "a..b=1",
            """
            --set a..b: the path is not of keys joined with '.'
              as in 'smoke[0].within'
            """
        ),
        ("env={A: 1", "--set env: the value is not YAML: the manifest ends while parsing a flow mapping opened here"),
        ("env={A: *x}", "--set env: the value is not YAML: the alias '*x' is not allowed"),
    ])
    func errorsNameTheFlag(flag: String, text: String) {
        #expect(refused(iris(""), overrides: [flag]) == text)
    }

    @Test func flagsAreLimited() {
        let flags = Array(repeating: "name=a", count: 101)
        #expect(refused(iris(""), overrides: flags) == "--set …: 101 flags are given; at most 100 are allowed")
        let deep = Array(repeating: "a", count: 40).joined(separator: ".")
        #expect(refused(iris(""), overrides: ["\(deep)=1"]).contains("the path is not of keys joined with '.'"))
    }

    @Test func errorsOfTheFileComeFirst() {
        let text = refused(iris("zzzz: 1"), overrides: ["server.port=0"])
        #expect(text.hasPrefix("m.yaml:3:1: unknown key 'zzzz'"))
        #expect(text.hasSuffix("\n--set server.port: 'server.port' must be from 1 to 65535, not 0"))
    }
}
