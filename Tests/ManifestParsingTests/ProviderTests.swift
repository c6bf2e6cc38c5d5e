import DeploymentCore
import Testing

@testable import ManifestParsing

/// Where a manifest wants its sandbox.
@Suite struct ProviderTests {
    private static let head = "name: iris\nmodel: iris.joblib\n"

    @Test func providerIsAWordOrAMapping() throws {
        #expect(try accepted(Self.head).manifest.provider == nil)
        #expect(try accepted("\(Self.head)provider: local\n").manifest.provider == nil)
        #expect(try accepted("\(Self.head)provider: e2b\n").manifest.provider == Manifest.Provider(name: .e2b))
        #expect(
            try accepted("\(Self.head)provider: {name: e2b, template: 'team/big:v2'}\n").manifest.provider
                == Manifest.Provider(name: .e2b, template: "team/big:v2"))
    }

    @Test func whatIsNoProviderOrTemplateIsRefused() {
        #expect(refused("\(Self.head)provider: e2\n").contains("provider"))
        #expect(refused("\(Self.head)provider: {template: base}\n").contains("name"))
        #expect(refused("\(Self.head)provider: {name: e2b, template: 'a b'}\n").contains("template"))
        #expect(refused("\(Self.head)provider: {name: local, template: base}\n").contains("is for e2b"))
    }

    @Test func portOfTheInterpreterIsItsOwn() throws {
        let provider = "provider: {name: e2b, template: code-interpreter-v1}\n"
        #expect(refused("\(Self.head)\(provider)").contains("belongs to the code interpreter"))
        let moved = "\(Self.head)\(provider)server: {port: 8000}\n"
        #expect(try accepted(moved).manifest.provider?.template == "code-interpreter-v1")
    }
}
