import DeploymentCore
import E2BProtocol
import Foundation
import Sandboxes

/// Out of a sandbox to here: what the sandbox says may be malicious, so no name of its leads out of the destination.
struct CopyDownload: Sendable {
    let agent: EnvdClient
    let report: CopyReport

    /// A link to make once everything else is there, so that nothing is ever written through one.
    private struct Link {
        var path: String
        var text: String
    }

    /// Copies a file, or a folder with all that is in it; into `target` where that is a folder.
    func run(_ source: String, to target: String) async throws {
        let entry = try await agent.entry(source)
        let own = PathText.name(source)
        let name = own.isEmpty ? PathText.name(entry.path) : own
        let existing = LocalStatus(following: target)
        let isFolder = existing?.kind == .folder || target.hasSuffix("/")
        switch entry.type {
        case .file:
            if target.hasSuffix("/") { try Self.makeFolder(target, isRoot: true) }
            try await file(
                source, isExecutable: entry.isExecutable, to: isFolder ? PathText.joined(target, name) : target)
        case .directory:
            guard existing == nil || existing?.kind == .folder else {
                throw BerthError(.conflict, "\(target) is a file, and \(source) is a folder")
            }
            let root = existing != nil && !own.isEmpty ? PathText.joined(target, own) : target
            var links: [Link] = []
            let resolved = entry.symlinkTarget ?? entry.path
            var left = CopyLimits.entries
            try await folder(source, "", to: root, resolved: resolved, depth: 0, &left, &links)
            for link in links { make(link, beneath: root) }
        case .symlink: throw BerthError(.notFound, "\(source) is a link that leads nowhere")
        case .unspecified: throw BerthError(.usage, "\(source) is neither a file nor a folder")
        }
    }

    /// Copies a file to standard output.
    func stream(_ source: String) async throws {
        guard try await agent.entry(source).type == .file else {
            throw BerthError(.usage, "\(source) in the sandbox is no file, and only files can be copied to -")
        }
        let output = OutputWriter(descriptor: 1)
        try await agent.download(source) { bytes in
            try await output.write(bytes)
            report.took(bytes.count)
        }
        report.count { $0.files += 1 }
    }

    /// Writes beside the target and renames: whoever looks finds the old file or the whole new one.
    private func file(_ source: String, isExecutable: Bool, to target: String) async throws {
        report.begin(source)
        let draft = try LocalDraft(for: target)
        defer { draft.discard() }
        var total: Int64 = 0
        try await agent.download(source) { bytes in
            total += Int64(bytes.count)
            guard total <= CopyLimits.fileSize else {
                throw BerthError(.tooLarge, "\(source) is larger than \(Output.bytes(CopyLimits.fileSize))")
            }
            try draft.write(bytes)
            report.took(bytes.count)
        }
        try draft.publish(isExecutable: isExecutable)
        report.count { $0.files += 1 }
    }

    /// - Parameters:
    ///   - path: the folder relative to the root of the copy.
    ///   - resolved: the root as the sandbox resolves it, for links.
    ///   - left: how many entries may still come.
    private func folder(
        _ source: String, _ path: String, to target: String, resolved: String, depth: Int, _ left: inout Int,
        _ links: inout [Link]
    ) async throws {
        guard depth < CopyLimits.depth else {
            throw BerthError(.tooLarge, "\(source) has more than \(CopyLimits.depth) folders within folders")
        }
        try Self.makeFolder(target, isRoot: depth == 0)
        report.count { $0.folders += 1 }
        for entry in try await agent.list(source) {
            try Task.checkCancellation()
            left -= 1
            guard left >= 0 else {
                throw BerthError(.tooLarge, "more than \(CopyLimits.entries) files and folders are to be copied")
            }
            let name = entry.name
            guard PathText.isComponent(name) else {
                throw BerthError(
                    .sandbox, "the sandbox lists \(source) with the name \(name), which would lead out of \(target)",
                    suggestion: "do not trust what is in this sandbox")
            }
            let from = PathText.joined(source, name)
            if let leadsTo = entry.symlinkTarget, leadsTo.hasPrefix("\(resolved)/"),
                PathText.inside(String(leadsTo.dropFirst(resolved.utf8.count + 1)), from: "") != nil
            {
                let inner = String(leadsTo.dropFirst(resolved.utf8.count + 1))
                links.append(
                    Link(path: path.isEmpty ? name : "\(path)/\(name)", text: PathText.link(to: inner, from: path)))
                continue
            }
            switch entry.type {
            case .file:
                try await file(from, isExecutable: entry.isExecutable, to: PathText.joined(target, name))
            case .directory where entry.symlinkTarget == nil:
                try await folder(
                    from, path.isEmpty ? name : "\(path)/\(name)", to: PathText.joined(target, name),
                    resolved: resolved, depth: depth + 1, &left, &links)
            case .directory: report.skip(from, "the link leads out of the folder")
            case .symlink: report.skip(from, "the link leads nowhere")
            case .unspecified: report.skip(from, "neither a file nor a folder")
            }
        }
    }

    private static func makeFolder(_ path: String, isRoot: Bool) throws {
        if mkdir(path, 0o777) == 0 { return }
        let reason = errno
        // The user may have made the destination a link; beneath it one would lead who knows where.
        let status = isRoot ? LocalStatus(following: path) : LocalStatus(of: path)
        guard reason == EEXIST, status?.kind == .folder else {
            throw BerthError(
                .conflict, "cannot make the folder \(path): \(String(cString: strerror(reason)))",
                suggestion: reason == EEXIST ? "remove what is there, or copy to another place" : nil)
        }
    }

    private func make(_ link: Link, beneath root: String) {
        let path = PathText.joined(root, link.path)
        if LocalStatus(of: path)?.kind == .link { unlink(path) }
        guard symlink(link.text, path) == 0 else {
            return report.skip(path, String(cString: strerror(errno)))
        }
        report.count { $0.links += 1 }
    }
}

extension EnvdClient {
    /// What a path leads to, with a message about the path when there is nothing.
    func entry(_ path: String) async throws -> EntryInfo {
        do {
            return try await stat(path)
        } catch let error as BerthError where error.code == .notFound {
            throw BerthError(.notFound, "there is no \(path) in the sandbox")
        }
    }
}

extension EntryInfo {
    var isExecutable: Bool { mode & 0o111 != 0 }
}

/// A file that is being written under a name of its own, beside the one it is going to replace.
final class LocalDraft {
    private let target: String
    private let path: String
    private var descriptor: Int32

    /// - Throws: `storage_full` when the folder cannot be written.
    init(for target: String) throws {
        let folder = target.contains("/") ? String(target[..<(target.lastIndex(of: "/") ?? target.startIndex)]) : "."
        self.target = target
        path = "\(folder.isEmpty ? "/" : folder)/.berth-cp-\(getpid())-\(UInt64.random(in: 0...UInt64.max))"
        descriptor = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else {
            throw BerthError(.storageFull, "cannot write to \(folder): \(String(cString: strerror(errno)))")
        }
    }

    func write(_ bytes: [UInt8]) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Foundation.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else {
                throw BerthError(.storageFull, "cannot write \(target): \(String(cString: strerror(errno)))")
            }
            rest = rest.dropFirst(count)
        }
    }

    /// Gives the file its name and the permissions of a new file of the user's.
    func publish(isExecutable: Bool) throws {
        let mask = umask(0)
        umask(mask)
        let mode: mode_t = (isExecutable ? 0o777 : 0o666) & ~mask
        guard fchmod(descriptor, mode) == 0, rename(path, target) == 0 else {
            throw BerthError(.storageFull, "cannot write \(target): \(String(cString: strerror(errno)))")
        }
        close(descriptor)
        descriptor = -1
    }

    /// Removes what was not published.
    func discard() {
        guard descriptor >= 0 else { return }
        close(descriptor)
        descriptor = -1
        unlink(path)
    }
}
