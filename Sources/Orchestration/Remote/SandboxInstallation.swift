import DeploymentCore
import Sandboxes
import Waiting

/// Packages of a lock, installed in the sandbox that needs them: for providers that cannot show it a folder of ours.
struct SandboxInstallation: Sendable {
    /// Where the environment is, inside.
    static let folder = "/home/user/.berth/env"
    /// Where the lock is written, inside.
    static let lockFile = "/home/user/.berth/requirements.lock"
    /// The tag of the process.
    static let tag = "install"
    /// The most of its output that is kept for an error, in bytes.
    static let outputLimit = 64 << 10
    /// How often the output is subscribed to again when it breaks off; the installation goes on meanwhile.
    static let resubscribeAttempts = 5
    /// What the script ends with when no Python of the wanted version is there.
    private static let noPython: Int32 = 21

    let lock: String
    /// The version that the manifest asks for.
    let python: String?

    /// The packages that the lock names.
    var packages: Int {
        lock.split(separator: "\n").count { line in
            guard let first = line.utf8.first else { return false }
            return ![UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "#"), UInt8(ascii: "-")].contains(first)
        }
    }

    /// The version as `3.11`: the manifest's, or else the one that the lock was made for; nil when neither says it.
    var minor: String? {
        let mark = "# python: "
        let locked = lock.split(separator: "\n").prefix { $0.hasPrefix("#") }.first { $0.hasPrefix(mark) }
        guard let version = python ?? locked.map({ String($0.dropFirst(mark.count)) }) else { return nil }
        let parts = version.split(separator: ".").prefix(2)
        guard parts.count == 2, parts.allSatisfy({ !$0.isEmpty && $0.utf8.allSatisfy { (0x30...0x39).contains($0) } })
        else { return nil }
        return parts.joined(separator: ".")
    }

    /// Installs with uv where the sandbox has it, with pip elsewhere; nothing that the lock does not name by its hash,
    /// and nothing that would have to be built.
    ///
    /// - Parameter progress: told each line that the installer prints.
    /// - Throws: `dependencies` with the installer's words.
    func run(in sandbox: any Sandbox, progress: @escaping @Sendable (String) -> Void) async throws {
        try await sandbox.write(Array(lock.utf8), to: Self.lockFile, executable: false)
        var process = try await sandbox.start(
            ProcessSpecification(
                tag: Self.tag,
                command: [
                    "/bin/sh", "-c", Self.script, "install", Self.folder, Self.lockFile, minor ?? "", "\(packages)",
                ],
                environment: ["UV_NO_PROGRESS": "1", "NO_COLOR": "1", "PIP_NO_INPUT": "1"], workingDirectory: "/"))
        var lines = LineCutter(limit: Self.outputLimit)
        var attempts = 0
        while true {
            do {
                return try await follow(process, &lines, progress)
            } catch let error as BerthError where error.code == .unreachable && attempts < Self.resubscribeAttempts {
                attempts += 1
                do {
                    process = try await sandbox.process(tagged: Self.tag)
                } catch let missing as BerthError where missing.code == .notFound {
                    throw error
                }
            } catch {
                // Whoever stopped waiting has no use for what goes on.
                try? await uncancelled { [process] in try await process.signal(9) }
                throw error
            }
        }
    }

    private func follow(
        _ process: any SandboxProcess, _ lines: inout LineCutter, _ progress: @Sendable (String) -> Void
    ) async throws {
        for try await event in process.events {
            switch event {
            case .stdout(let bytes), .stderr(let bytes): for line in lines.take(bytes) { progress(line) }
            case .ended(.exited(code: 0)): return
            case .ended(let status): throw failure(status, lines.text)
            }
        }
        throw BerthError(.unreachable, "the sandbox went away while packages were installed in it")
    }

    private func failure(_ status: ExitStatus, _ output: String) -> BerthError {
        let last = output.split(separator: "\n").last.map(String.init) ?? "\(status)"
        if status == .exited(code: Self.noPython) {
            return BerthError(
                .dependencies, "the sandbox has no Python \(minor ?? "3"), which the lock was made for: \(last)",
                suggestion: "name a template that has it in 'provider.template', or a version that the template has in "
                    + "'python'")
        }
        return BerthError(
            .dependencies, "the packages cannot be installed in the sandbox: \(last)",
            suggestion: "make a new lock with `berth lock`; the sandbox needs wheels for its own platform",
            cause: InstallerOutput(description: output))
    }

    /// Arguments: the environment's folder, the lock, the Python version or nothing, the number of packages.
    private static let script = #"""
        set -eu
        env=$1 lock=$2 want=$3 count=$4
        rm -rf "$env"
        if command -v uv >/dev/null 2>&1; then
            uv venv --quiet --no-project --no-config ${want:+--python "$want"} "$env" || exit 21
            [ "$count" -eq 0 ] && exit 0
            exec uv pip sync --no-config --python "$env/bin/python" --require-hashes --only-binary :all: "$lock"
        fi
        python=
        for name in ${want:+"python$want"} python3 python; do
            command -v "$name" >/dev/null 2>&1 || continue
            have=$("$name" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
            if [ -z "$want" ] || [ "$have" = "$want" ]; then python=$name; break; fi
            echo "there is Python $have"
        done
        [ -n "$python" ] || exit 21
        if [ "$count" -eq 0 ]; then exec "$python" -m venv --without-pip "$env"; fi
        if "$python" -c 'import ensurepip' 2>/dev/null; then
            "$python" -m venv "$env"
            exec "$env/bin/python" -m pip install --disable-pip-version-check --no-deps --require-hashes \
                --only-binary :all: -r "$lock"
        fi
        "$python" -m venv --without-pip "$env"
        exec "$python" -m pip --python "$env/bin/python" install --disable-pip-version-check --no-deps \
            --require-hashes --only-binary :all: -r "$lock"
        """#
}

/// What an installer printed.
struct InstallerOutput: Error, Sendable, CustomStringConvertible {
    let description: String
}

/// Cuts output into lines, and keeps the end of it.
private struct LineCutter {
    let limit: Int
    private var pending: [UInt8] = []
    private var kept: [UInt8] = []

    init(limit: Int) { self.limit = limit }

    /// The last of it, for people.
    var text: String { VisibleText.of(String(decoding: kept + pending, as: UTF8.self)) }

    mutating func take(_ bytes: [UInt8]) -> [String] {
        pending += bytes
        guard let end = pending.lastIndex(where: { $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\r") }) else {
            if pending.count > limit { pending.removeFirst(pending.count - limit) }
            return []
        }
        let whole = pending[...end]
        let lines = whole.split { $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\r") }.map {
            VisibleText.of(String(decoding: $0, as: UTF8.self))
        }
        kept += whole
        if kept.count > limit { kept.removeFirst(kept.count - limit) }
        pending.removeFirst(whole.count)
        return lines
    }
}
