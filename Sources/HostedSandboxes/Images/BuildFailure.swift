/// Why a build ended, and in which step.
struct BuildFailure: Error, Equatable {
    var message: String
    /// The step as its number from 1, `base` or `finalize`.
    var step: String

    /// What is written to a folder of the machine's own ends in these words.
    private static let readOnlySigns = ["Read-only file system", "Errno 30", "EROFS", "externally-managed-environment"]
    /// Those who install into the system fail in many words.
    private static let installers = ["apt", "apt-get", "dpkg", "yum", "dnf", "apk"]
    private static let rootSigns = ["does not exist here", "are you root?", "requires root", "Permission denied"]

    /// The way out of what a command says, where it is known.
    static func hint(_ output: String, command: String, hasRoot: Bool) -> String? {
        let words = command.split { !($0.isLetter || $0 == "-") }
        if readOnlySigns.contains(where: output.contains) || words.contains(where: { installers.contains(String($0)) })
        {
            return "the system of a sandbox is this machine's and read-only: only /home/user, /root and /tmp can be "
                + "written in a template. Install packages on the machine itself, or into a folder of the home: "
                + "`python3 -m venv /home/user/env`, `npm install --prefix /home/user/…`"
        }
        if !hasRoot, rootSigns.contains(where: output.contains) {
            return "sandboxes on this machine have one user and no root; `berth doctor` says why"
        }
        return nil
    }
}
