import DeploymentCore

extension ManifestDecoder {
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
        if let template, let text = template.text {
            do {
                try InterpreterTemplate.check(template: text, port: port)
            } catch {
                findings.error(error.message, at: template.place, suggestion: error.suggestion)
            }
        }
        return Manifest.Provider(name: name, template: template?.text)
    }
}
