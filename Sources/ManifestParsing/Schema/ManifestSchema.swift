import DeploymentCore

/// The keys of a manifest, version `v1`.
public enum ManifestSchema {
    /// The most model files.
    public static let maximumFiles = 1000
    /// The most requirement lines, environment variables or patterns.
    public static let maximumEntries = 1000
    /// The most smoke tests.
    public static let maximumSmokeTests = 100
    /// The most headers of one request, fields of one form, or conditions on one answer.
    public static let maximumFields = 100
    /// The most sandboxes kept ready for one deployment.
    public static let maximumStandby = 16
    /// The templates that a manifest may name; each can be rendered for each framework.
    public static let templates = ["sklearn", "onnx", "torch", "python"]
    /// Which template a model's suffix stands for when the manifest names none.
    public static let templateBySuffix = [
        "joblib": "sklearn", "pkl": "sklearn", "pickle": "sklearn", "onnx": "onnx", "pt": "torch", "pth": "torch",
        "ts": "torch", "py": "python",
    ]

    static let root: [Key] = [
        Key("apiVersion", .choice(["v1"]), default: "v1", "The version of this format"),
        Key("name", .text(.label), isRequired: true, "The deployment's name; its route is /<name>"),
        Key(
            "model",
            .oneOf([
                .text(.modelSource), .list(file, limit: maximumFiles), .mapping(modelKeys),
            ]),
            "The model: one path or URL, a list of them, or a mapping; the first file is what a template loads"),
        Key("template", template, "Short for server.template"),
        Key("server", .mapping(serverKeys), "The app that serves the model"),
        Key(
            "python", .scalar(.pythonVersion),
            "The Python version, as 3.11 or 3.11.7; without it the machine's default"),
        Key(
            "requirements",
            .oneOf([.text(.requirementsFile), .list(.text(.requirement), limit: maximumEntries)]),
            "What to install beyond what a template needs: a list, or a file beside the manifest"),
        Key(
            "env", .dictionary(.scalar(.environmentValue), keys: .environmentName, limit: maximumEntries),
            "Environment variables of the app; numbers and booleans are passed as written"),
        Key(
            "resources", .mapping(resourceKeys),
            "How much of the machine the app may use; refused where it cannot be enforced"),
        Key("health", .mapping(healthKeys), "How health is proven, before and after traffic moves"),
        Key("predict", .mapping(predictKeys), "How predictions are reached"),
        Key(
            "smoke", .list(.mapping(smokeKeys), limit: maximumSmokeTests),
            "Predictions with known answers that must hold before traffic moves"),
        Key("rollout", .mapping(rolloutKeys), "How traffic moves from one revision to the next"),
        Key(
            "isolation", .choice(Isolation.allCases.map(\.rawValue)),
            "The weakest isolation that will do: process, landlock, namespaces or gvisor; the deploy fails where the "
                + "machine has less. Without it the strongest that works, but never gvisor, which costs speed"),
        Key("network", network, "What the app may reach: none, egress (the public internet), or a list of hosts"),
        Key(
            "sudo", .choice(["off", "on"]), default: .string("off"),
            "Whether the app may become root inside its sandbox, by sudo; needs ids of the sandbox's own"),
        Key("provider", provider, "Where the sandbox is made: local, e2b, or a mapping"),
        Key("idle", .mapping(idleKeys), "What happens when nobody asks for anything"),
        Key(
            "ttl", .duration(.seconds(1) ... .seconds(365 * 86_400)),
            "How long the deployment lives after traffic has moved; then it is destroyed. Never, when left out"),
        Key(
            "standby", .integer(0...maximumStandby), default: .integer(Int64(Manifest.defaultStandby)),
            "Sandboxes kept ready with the app's imports done, so that a redeploy or restart takes milliseconds"),
    ]

    static let template = Shape.choice(templates)

    static let file = Shape.oneOf([.text(.modelSource), .mapping(fileKeys)])

    static let modelKeys: [Key] = [
        Key("type", .text(.line), "Reported as model_type; without it the template's name"),
        Key(
            "files", .list(file, limit: maximumFiles),
            "The files and folders, each a path, an https:// URL or a mapping; a template loads the first"),
    ]

    static let fileKeys: [Key] = [
        Key(
            "source", .text(.modelSource), isRequired: true,
            "A path relative to the manifest, or an https:// URL"),
        Key(
            "target", .text(.target),
            "Where it lands in the app folder; model/<file name>, for Python files <file name>, when left out"),
        // A digest of digits alone, or with one `e`, is a number to YAML.
        Key("sha256", .scalar(.sha256), "The digest that a single file must have"),
    ]

    static let serverKeys: [Key] = [
        Key(
            "framework", .choice(Manifest.Server.Framework.allCases.map(\.rawValue)),
            default: .string(Manifest.Server().framework.rawValue), "The web framework a template is rendered for"),
        Key(
            "template", template,
            "The template that the app is rendered from; told by the model's suffix when left out"),
        Key("app", .text(.app), "An own ASGI or WSGI app instead of a template: app.py, or package.module:attribute"),
        Key(
            "command", .list(.scalar(.argument), limit: maximumFields),
            "An own command instead of a template; it listens on $PORT"),
        Key(
            "port", .integer(1...65535), default: .integer(Int64(Manifest.Server.defaultPort)),
            "The port inside the sandbox; BERTH_MODEL_PORT and E2B_MODEL_PORT override it"),
        Key("source", .text(.localPath), "The folder with own code; '.' for own apps, nothing for templates"),
        Key(
            "exclude", .list(.text(.pattern), limit: maximumEntries), default: [],
            "Patterns under server.source that are not copied"),
        Key(
            "working_directory", .text(.target),
            "Where an own app starts, relative to the app folder; the app folder itself when left out"),
    ]

    static let rolloutKeys: [Key] = [
        Key(
            "drain", .duration(.zero ... .seconds(3600)), default: duration(Manifest.RolloutSettings().drain),
            "How long requests in flight may take on the old revision before they are cut")
    ]

    static let idleKeys: [Key] = [
        Key(
            "pause_after", .duration(.seconds(1) ... .seconds(30 * 86_400)),
            "The time without a request after which the sandbox is paused; the next request wakes it"),
        Key(
            "stop_after", .duration(.seconds(1) ... .seconds(30 * 86_400)),
            "The time without a request after which the sandbox is removed; the next request starts another one"),
    ]

    static func duration(_ value: Duration) -> JSONValue { .string(DurationText.write(value)) }
}
