import DeploymentCore

extension ManifestSchema {
    static let network = Shape.oneOf([
        .text(.networkWord), .list(.text(.hostRule), limit: NetworkAccess.maximumRules),
    ])
}

extension TextRule {
    /// What stands instead of a list of hosts.
    static let networkWord = TextRule("none, egress", pattern: "^(none|egress)$") { text in
        guard text != "none", text != "egress" else { return nil }
        let word = KeyHints.nearest(text, among: ["none", "egress"]).map { "did you mean \(quoted($0))?" }
        let isHost = (try? HostRule(parsing: text)) != nil && text.contains(".")
        return Fault(
            "must be none, egress or a list of hosts, not \(quoted(text))", isHost ? "write [\(text)]" : word)
    }

    /// One entry of a list of hosts.
    static let hostRule = TextRule(
        "a host such as example.com, *.example.com, 192.0.2.1 or 10.0.0.0/8, each with :port or not",
        pattern: #"^[A-Za-z0-9_.*:\[\]/-]+$"#, maximumBytes: HostRule.maximumBytes
    ) { text in
        do throws(HostRule.Fault) {
            _ = try HostRule(parsing: text)
            return nil
        } catch {
            return Fault(error.message, error.suggestion)
        }
    }
}
