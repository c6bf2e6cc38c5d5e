import DeploymentCore
import ManifestParsing
import Testing

/// The diagnostics of a manifest that must be refused, as users read them.
func refused(
    _ yaml: String, environment: [String: String] = [:], overrides: [String] = [],
    _ location: SourceLocation = #_sourceLocation
) -> String {
    refused(bytes: Array(yaml.utf8), environment: environment, overrides: overrides, location)
}

func refused(
    bytes: [UInt8], environment: [String: String] = [:], overrides: [String] = [],
    _ location: SourceLocation = #_sourceLocation
) -> String {
    do {
        _ = try ManifestParser.parse(bytes, file: "m.yaml", environment: environment, overrides: overrides)
        Issue.record("the manifest was accepted", sourceLocation: location)
        return ""
    } catch {
        return error.rendered(color: false)
    }
}

/// The manifest of a text that must be accepted.
func accepted(
    _ yaml: String, environment: [String: String] = [:], overrides: [String] = []
) throws -> ParsedManifest {
    try ManifestParser.parse(Array(yaml.utf8), file: "m.yaml", environment: environment, overrides: overrides)
}

/// A manifest with a name, a model and more lines.
func iris(_ more: String) -> String { "name: iris\nmodel: iris.joblib\n\(more)" }
