import DeploymentCore
import Glibc

/// The `uv` program that resolves and installs Python packages: where it is and what it may see.
public struct Uv: Sendable {
    /// The longest a resolution may take.
    public static let lockTimeout = Duration.seconds(300)
    /// The longest an installation may take, downloads included.
    public static let syncTimeout = Duration.seconds(1800)
    /// The longest a question to uv or an interpreter may take.
    public static let queryTimeout = Duration.seconds(60)

    /// The program's absolute path.
    public let executable: String
    /// The folder with what was downloaded and what is being built: on the filesystem of the environments, and one
    /// mount, because files are linked from the first to the second.
    public let cache: String
    /// Whether a Python that is not on this machine may be downloaded.
    public var allowsPythonDownloads: Bool
    /// What keeps uv and the interpreters to their task while they install; nil where there is nothing to do it.
    public var walls: Walls?

    /// uv's own cache.
    var downloads: String { "\(cache)/uv" }

    let environment: [String: String]
    let interpreters = InterpreterCache()

    /// Uses the program at `executable`; of `environment` only what concerns indexes, proxies and paths is passed on.
    public init(
        executable: String, cache: String, environment: [String: String], allowsPythonDownloads: Bool = true
    ) {
        self.executable = executable
        self.cache = cache
        self.allowsPythonDownloads = allowsPythonDownloads
        self.environment = environment.filter { Self.isPassedOn($0.key) }
    }

    /// Finds uv: `<home>/tools/bin/uv`, then the `PATH` of `environment`. The cache is `<home>/cache/packages`.
    ///
    /// - Throws: `dependencies` when there is none, saying how to get it.
    public static func locate(home: String, environment: [String: String]) throws(BerthError) -> Uv {
        let own = "\(home)/tools/bin/uv"
        let searched = (environment["PATH"] ?? "").split(separator: ":").map { "\($0)/uv" }
        for candidate in [own] + searched where candidate.hasPrefix("/") && access(candidate, X_OK) == 0 {
            return Uv(executable: candidate, cache: "\(home)/cache/packages", environment: environment)
        }
        throw BerthError(
            .dependencies, "uv is not installed: it is neither at \(own) nor on the PATH",
            suggestion: "run `pip install uv`, or start berth with ./berth, which brings it along")
    }

    /// What a resolver needs to reach its indexes; nothing that could change what or where it installs.
    private static func isPassedOn(_ name: String) -> Bool {
        passedOn.contains(name) || name.hasPrefix("UV_INDEX_") || name.hasPrefix("UV_CONCURRENT_")
    }

    private static let passedOn: Set<String> = [
        "HOME", "PATH", "USER", "LANG", "TMPDIR", "NETRC", "PYENV_ROOT", "PYENV_VERSION", "XDG_CONFIG_HOME",
        "XDG_DATA_HOME", "SSL_CERT_FILE", "SSL_CERT_DIR", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY",
        "http_proxy", "https_proxy", "all_proxy", "no_proxy", "UV_INDEX", "UV_DEFAULT_INDEX", "UV_EXTRA_INDEX_URL",
        "UV_FIND_LINKS", "UV_NO_INDEX", "UV_KEYRING_PROVIDER", "UV_HTTP_TIMEOUT", "UV_HTTP_RETRIES", "UV_NATIVE_TLS",
        "UV_SYSTEM_CERTS", "UV_INSECURE_HOST", "UV_OFFLINE", "UV_CONFIG_FILE", "UV_EXCLUDE_NEWER", "UV_TORCH_BACKEND",
        "UV_PYTHON_INSTALL_DIR", "UV_PYTHON_INSTALL_MIRROR",
    ]
}
