/// The arguments of `sudo` (sudo(8)), as far as they mean something here.
struct SudoOptions: Equatable {
    static let usage = "usage: sudo [-EHins] [-u user] [VAR=value] [command [argument…]]"

    var user = "root"
    var keepsEnvironment = false
    var setsHome = false
    var isLogin = false
    var startsShell = false
    var variables: [String] = []
    var command: [String] = []

    /// What is to be done.
    enum Action: Equatable {
        case run(SudoOptions)
        /// Only this text is wanted.
        case tell(String)
        case wrong(String)
    }

    /// Options that change nothing where nobody has a password.
    private static let quiet: Set<String> = [
        "-n", "-S", "-A", "-B", "-P", "-k", "--non-interactive", "--stdin", "--askpass", "--bell", "--preserve-groups",
        "--reset-timestamp",
    ]
    /// Such options with a value.
    private static let quietWithValue: Set<String> = ["-p", "--prompt"]

    static func parse(_ arguments: [String]) -> Action {
        var options = SudoOptions()
        var rest = separated(arguments)[...]
        while let word = rest.first, word.hasPrefix("-"), word != "-" {
            rest.removeFirst()
            if word == "--" { break }
            switch word {
            case "-E", "--preserve-env": options.keepsEnvironment = true
            case "-H", "--set-home": options.setsHome = true
            case "-i", "--login": options.isLogin = true
            case "-s", "--shell": options.startsShell = true
            case "-u", "--user":
                guard let user = rest.popFirst() else { return .wrong("\(word) needs a user") }
                options.user = user
            case "-v", "--validate", "-K", "--remove-timestamp": return .tell("")
            case "-l", "--list": return .tell("(ALL) NOPASSWD: ALL\n")
            case "-V", "--version": return .tell("sudo of berth-agent \(Agent.version)\n")
            case "-h", "--help": return .tell(usage + "\n")
            case _ where quiet.contains(word): continue
            case _ where quietWithValue.contains(word): _ = rest.popFirst()
            case _ where word.hasPrefix("--preserve-env="): options.keepsEnvironment = true
            default: return .wrong("\(word) is not supported here\n\(usage)")
            }
        }
        while let word = rest.first, !word.hasPrefix("="), let sign = word.firstIndex(of: "="),
            !word[..<sign].contains("/")
        {
            options.variables.append(word)
            rest.removeFirst()
        }
        options.command = Array(rest)
        guard !options.command.isEmpty || options.isLogin || options.startsShell else { return .wrong(usage) }
        return .run(options)
    }

    /// `-nE` as `-n -E`, and `--user=root` and `-uroot` as two words, up to the command.
    private static func separated(_ arguments: [String]) -> [String] {
        var words: [String] = []
        var rest = arguments[...]
        while let word = rest.first, word.hasPrefix("-"), word != "-", word != "--" {
            rest.removeFirst()
            if word.hasPrefix("--") {
                let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                if parts.count == 2, ["--user", "--prompt"].contains(parts[0]) {
                    words += parts.map(String.init)
                } else {
                    words.append(word)
                    if ["--user", "--prompt"].contains(word), let value = rest.popFirst() { words.append(value) }
                }
                continue
            }
            var letters = word.dropFirst()
            while let letter = letters.popFirst() {
                words.append("-\(letter)")
                guard letter == "u" || letter == "p" else { continue }
                if let value = letters.isEmpty ? rest.popFirst() : String(letters) { words.append(value) }
                break
            }
        }
        return words + rest
    }

    /// What the agent is asked to run.
    ///
    /// - Parameter environment: that of `sudo` itself, as `NAME=VALUE`.
    func request(environment: [String], shell: String) -> SudoRequest {
        let kept = keepsEnvironment ? environment : environment.filter { Self.isKept($0) }
        var request = SudoRequest(command: command, variables: kept)
        if isLogin || startsShell {
            let program = isLogin ? "/bin/sh" : shell
            let line = command.map(Self.quoted).joined(separator: " ")
            request.command = [program] + (isLogin ? ["-l"] : []) + (line.isEmpty ? [] : ["-c", line])
        }
        request.variables += ["SHELL=/bin/sh", "SUDO_USER=user", "SUDO_UID=\(Account.userNumber)"]
        request.variables += ["SUDO_GID=\(Account.userNumber)", "SUDO_COMMAND=" + command.joined(separator: " ")]
        request.variables += variables
        request.user = user == "#0" ? "root" : user == "#\(Account.userNumber)" ? "user" : user
        request.startsAtHome = isLogin
        request.setsHome = !keepsEnvironment || setsHome || isLogin
        return request
    }

    /// What passes without -E: how to find programs and how to talk to the user.
    private static func isKept(_ variable: String) -> Bool {
        let name = variable.prefix { $0 != "=" }
        return ["PATH", "TERM", "COLORTERM", "LANG", "LANGUAGE", "TZ"].contains(name) || name.hasPrefix("LC_")
    }

    private static func quoted(_ word: String) -> String {
        "'" + word.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
    }
}
