import DeploymentCore

extension ManifestDecoder {
    /// The prefix of templates whose sandboxes run the code interpreter, and the port that it owns there.
    private static let interpreter = (prefix: "code-interpreter", port: 49_999)

    /// Where the sandbox is made; nil for this machine.
    func provider(_ given: Checked?, port: Int) -> Manifest.Provider? {
        guard let given else { return nil }
        guard let name = (given.text ?? given.fields?["name"]?.text).flatMap(Manifest.Provider.Name.init) else {
            return nil
        }
        let template = given.fields?["template"]
        if name == .local {
            if let template {
                findings.error(
                    "'provider.template' is for e2b; on this machine the sandbox needs none", at: template.place,
                    suggestion: "leave it out")
            }
            return nil
        }
        if let template, let text = template.text,
            text.split(separator: "/").last?.hasPrefix(Self.interpreter.prefix) ?? false, port == Self.interpreter.port
        {
            findings.error(
                "port \(port) belongs to the code interpreter in the template \(quoted(text))", at: template.place,
                suggestion: "give 'server.port' another one, or take another template")
        }
        return Manifest.Provider(name: name, template: template?.text)
    }
}
