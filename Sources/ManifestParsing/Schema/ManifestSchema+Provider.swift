import DeploymentCore

extension ManifestSchema {
    private static let providers = Shape.choice(Manifest.Provider.Name.allCases.map(\.rawValue))

    static let provider = Shape.oneOf([providers, .mapping(providerKeys)])

    static let providerKeys: [Key] = [
        Key("name", providers, isRequired: true, "Who makes the sandbox: local (this machine) or e2b"),
        Key(
            "template", .text(.providerTemplate),
            "The template that e2b makes it from; E2B_DEFAULT_TEMPLATE, or else base, when left out"),
    ]
}

extension TextRule {
    /// A template's name: `base`, `name:tag`, `namespace/name:tag`.
    static let providerTemplate = TextRule(
        "a template such as base, my-template or team/name:tag", pattern: "^[A-Za-z0-9._/:-]+$"
    ) { text in
        let isPlain = text.utf8.allSatisfy { byte in
            byte.isDigit || "._/:-".utf8.contains(byte) || (0x61...0x7A).contains(byte | 0x20)
        }
        return isPlain && !text.isEmpty ? nil : Fault("must be a template such as base or team/name:tag")
    }
}
