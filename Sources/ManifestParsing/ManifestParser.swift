import DeploymentCore

/// A manifest that can be deployed, and what is odd about it.
public struct ParsedManifest: Sendable, Equatable {
    /// The valid manifest.
    public let manifest: Manifest
    /// What works but is likely not meant, in the order of the file.
    public let warnings: [Diagnostic]
}

/// Reads deployment manifests; `manifests/reference.yaml` explains every key.
public struct ManifestParser {
    /// The most `--set` overrides.
    public static let maximumOverrides = 100
    /// The variables that override `server.port`, the first one given wins.
    public static let portVariables = ["BERTH_MODEL_PORT", "E2B_MODEL_PORT"]

    /// Parses a manifest from bytes that nobody has to trust.
    ///
    /// The port comes from `--set server.port`, else from `BERTH_MODEL_PORT`, else from `E2B_MODEL_PORT`, else from the
    /// file. Nothing is read from the disk, so whether files exist is not known afterwards.
    /// - Parameters:
    ///   - bytes: the YAML text; at most 1 MiB, 32 levels, 20,000 nodes, no anchors, aliases and tags.
    ///   - file: what diagnostics call the file.
    ///   - environment: where the port variables are looked up; empty values count as missing.
    ///   - overrides: `path=value` texts of `--set` flags, applied in order before anything is checked.
    /// - Throws: everything that is wrong, in one go; at most 100 diagnostics.
    public static func parse(
        _ bytes: [UInt8], file: String, environment: [String: String] = [:], overrides: [String] = []
    ) throws(ManifestErrors) -> ParsedManifest {
        let findings = Findings()
        let source = SourceText(bytes)
        let manifest =
            source.isReadable(findings: findings)
            ? decode(source, findings: findings, environment: environment, overrides: overrides) : nil
        let diagnostics = findings.diagnostics(file: file, source: source)
        guard let manifest, !findings.hasErrors else { throw ManifestErrors(diagnostics: diagnostics) }
        return ParsedManifest(manifest: manifest, warnings: diagnostics)
    }

    private static func decode(
        _ source: SourceText, findings: Findings, environment: [String: String], overrides: [String]
    ) -> Manifest? {
        let start = Place(line: 1, column: 1)
        let document: Node?
        do {
            document = try DocumentReader.read(source, findings: findings)
        } catch {
            return nil
        }
        guard var root = document else {
            findings.error("the manifest is empty", at: start, suggestion: "start with a line such as 'name: iris'")
            return nil
        }
        Overrides.apply(overrides, to: &root, findings: findings)
        guard case .mapping(let entries) = root.content else {
            if case .invalid = root.content { return nil }
            findings.error(
                "a manifest must be a mapping, not \(root.kind)", at: root.place,
                suggestion: "start with a line such as 'name: iris'")
            return nil
        }
        let checker = ShapeChecker(findings: findings)
        let fields = checker.check(entries, at: root.place, against: ManifestSchema.root, path: "")
        return ManifestDecoder(findings: findings, environment: environment).decode(fields)
    }
}
