/// The sandbox template in which code can be run (E2B's code interpreter), as manifests and clients name it.
public enum InterpreterTemplate {
    /// Its name.
    public static let name = "code-interpreter-v1"
    /// How the names of all templates begin that have its server in them.
    public static let family = "code-interpreter"
    /// The port inside that its server listens on, from the start of the sandbox.
    public static let port = 49_999

    /// Whether a template has the server in it, by its name: `name`, `name:tag` or `namespace/name:tag`.
    public static func isNamed(by template: String) -> Bool {
        let name = template.split(separator: "/", omittingEmptySubsequences: false).last ?? ""
        return name.lowercased().hasPrefix(family)
    }

    /// Refuses a manifest whose app would have to listen where this template's server does already.
    ///
    /// The app could not start there, and the server would answer its health probes.
    ///
    /// - Throws: `invalid_manifest`.
    public static func check(template: String, port: Int) throws(BerthError) {
        guard port == Self.port, isNamed(by: template) else { return }
        throw BerthError(
            .invalidManifest,
            "port \(port) is taken in sandboxes of template '\(template)': the code interpreter listens there",
            suggestion: "set `server.port` to another port, for example 8000, or deploy to the template `base`")
    }
}
