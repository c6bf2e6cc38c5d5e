import DeploymentCore
import Foundation
import Glibc

extension Uv {
    /// The interpreter for a version such as `3.11` or `3.11.7`; nil takes the first on the PATH.
    ///
    /// One that is missing is downloaded when that is allowed and the network gives it.
    /// - Throws: `dependencies` listing the versions that are there.
    public func interpreter(_ request: String? = nil) async throws -> Interpreter {
        let key = request ?? ""
        if let known = interpreters[key], access(known.path, X_OK) == 0 { return known }
        if let request, request.wholeMatch(of: /3(\.\d{1,3}){1,2}t?/) == nil {
            throw BerthError(
                .dependencies, "`\(request)` is not a Python version", suggestion: "write it as 3.11 or 3.11.7")
        }
        let found = try await find(request)
        interpreters[key] = found
        return found
    }

    /// The versions on this machine, newest first, each once.
    public func installedVersions() async throws -> [String] {
        let result = try await run(
            ["python", "list", "--only-installed", "--offline", "--no-config", "--output-format", "json"], in: "/",
            timeout: Self.queryTimeout)
        let listed = (try? JSONValue(parsing: result.output))?.array?.compactMap { $0["version"]?.string } ?? []
        let versions = Set(listed + versionManagerFolders().map(\.version))
        return versions.sorted { VersionNumber($0) > VersionNumber($1) }
    }

    private func find(_ request: String?) async throws -> Interpreter {
        let first = try await ask(request)
        if let found = first.interpreter { return found }
        guard let request else {
            throw BerthError(
                .dependencies, "there is no Python on this machine", suggestion: "install Python 3.11 or later",
                cause: UvFailure(first.text))
        }
        // A version manager's shims fail for versions that are not selected, although these are installed.
        for folder in versionManagerFolders() where folder.version == request || folder.version.hasPrefix(request + ".")
        {
            if let found = try? await probe("\(folder.path)/bin/python3") { return found }
        }
        var cause = first.text
        if allowsPythonDownloads {
            let download = try await downloadPython(request)
            if download.isSuccess, let found = try await ask(request).interpreter { return found }
            cause = download.text
        }
        let installed = try await installedVersions()
        throw BerthError(
            .dependencies, "Python \(request) is not on this machine; it has \(installed.joined(separator: ", "))",
            suggestion: installed.first.map {
                "set `python` to one of these, for example \($0), or install \(request)"
            },
            cause: UvFailure(cause))
    }

    private func downloadPython(_ request: String) async throws -> ProgramResult {
        var variables = environment
        variables["UV_CACHE_DIR"] = downloads
        variables["UV_HTTP_RETRIES"] = variables["UV_HTTP_RETRIES"] ?? "1"
        return try await Program(
            // Users inside a sandbox, who are not us, have to read it.
            executable: "/bin/sh",
            arguments: [
                "-c", #"umask 022; exec "$0" "$@""#, executable, "python", "install", "--no-config", "--no-bin",
                "--no-progress", request,
            ],
            environment: variables, folder: "/", timeout: Self.lockTimeout
        ).run()
    }

    private func ask(_ request: String?) async throws -> (interpreter: Interpreter?, text: String) {
        let result = try await run(
            ["python", "find", "--system", "--no-project", "--no-config"] + (request.map { [$0] } ?? []), in: "/",
            timeout: Self.queryTimeout)
        guard result.isSuccess else { return (nil, result.text) }
        let path = result.output.trimmingCharacters(in: .whitespacesAndNewlines)
        return (try await probe(path), "")
    }

    /// Asks the interpreter itself; `-I -S` keeps everything but the standard library out of the process.
    private func probe(_ path: String) async throws -> Interpreter {
        let script = """
            import os, sys, sysconfig, platform
            print('.'.join(map(str, sys.version_info[:3])))
            print(sys.implementation.name)
            print(sysconfig.get_platform() + '-' + str(sysconfig.get_config_var('SOABI')))
            print(os.path.realpath(getattr(sys, '_base_executable', None) or sys.executable))
            print(os.path.realpath(sys.base_prefix))
            """
        let result = try await Program(
            executable: path, arguments: ["-I", "-S", "-c", script], environment: pythonEnvironment, folder: "/",
            timeout: Self.queryTimeout
        ).run()
        let lines = result.output.split(separator: "\n").map(String.init)
        guard result.isSuccess, lines.count == 5 else {
            throw BerthError(.dependencies, "the Python at \(path) does not run", cause: UvFailure(result.text))
        }
        return Interpreter(
            version: lines[0], implementation: lines[1], platform: lines[2], path: lines[3], prefix: lines[4])
    }

    /// What an interpreter of ours is started with: nothing that changes where it looks for code.
    var pythonEnvironment: [String: String] {
        var variables = ["LANG": "C.UTF-8", "PATH": environment["PATH"] ?? "/usr/bin:/bin"]
        variables["HOME"] = environment["HOME"]
        variables["PYENV_ROOT"] = environment["PYENV_ROOT"]
        variables["PYENV_VERSION"] = environment["PYENV_VERSION"]
        return variables
    }

    private func versionManagerFolders() -> [(version: String, path: String)] {
        guard let root = environment["PYENV_ROOT"] ?? environment["HOME"].map({ "\($0)/.pyenv" }) else { return [] }
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "\(root)/versions")) ?? []
        return names.filter { $0.wholeMatch(of: /3\.\d+\.\d+/) != nil }
            .filter { access("\(root)/versions/\($0)/bin/python3", X_OK) == 0 }
            .sorted { VersionNumber($0) > VersionNumber($1) }.map { ($0, "\(root)/versions/\($0)") }
    }
}

/// A dotted version, ordered by its numbers.
struct VersionNumber: Comparable {
    private let parts: [Int]

    init(_ text: String) {
        parts = text.split(separator: ".").map { part in Int(part.prefix(while: \.isNumber)) ?? 0 }
    }

    static func < (left: VersionNumber, right: VersionNumber) -> Bool {
        left.parts.lexicographicallyPrecedes(right.parts)
    }
}
