import DeploymentCore
import Foundation
import Glibc
import HostDisk

/// A walk from the manifest's folder that never leaves its project: the checkout it lies in, or the folder itself.
struct SourceWalk {
    private(set) var found: [SourceTree.Found] = []
    private let folder: String
    private let project: String
    private var sources: [String: String] = [:]
    private let always = SourceTree.alwaysExcluded.map { GlobPattern($0) }

    init(folder: String) throws(BerthError) {
        self.folder = folder
        guard let real = Self.resolved(folder) else {
            throw BerthError(.artifact, "the folder \(folder) does not exist")
        }
        project = Self.checkout(around: real) ?? real
    }

    /// The nearest folder at or above `folder` that is a git checkout.
    private static func checkout(around folder: String) -> String? {
        var candidate = folder
        while candidate.count > 1 {
            if access("\(candidate)/.git", F_OK) == 0 { return candidate }
            candidate = candidate.parentPath
        }
        return nil
    }

    /// The real place of something beside the manifest.
    func locate(_ path: String, what: String) throws(BerthError) -> (path: String, isFolder: Bool) {
        guard !path.hasPrefix("/"), !path.utf8.contains(0) else {
            throw BerthError(
                .artifact, "\(what) \(path) is an absolute path", suggestion: "write it relative to the manifest")
        }
        let place = "\(folder)/\(path)"
        guard let real = Self.resolved(place) else {
            let parent = place.parentPath
            throw BerthError(
                .artifact, "\(what) \(path) is missing; looked in \(parent)",
                suggestion: Self.near(path.lastName, in: parent).map {
                    "did you mean \(path.dropLast(path.lastName.count))\($0)?"
                })
        }
        try check(real, shown: path)
        return (real, try isFolder(real, shown: path))
    }

    /// Adds everything below a folder.
    mutating func add(
        folder source: String, to target: String, kind: FileEntry.Kind, root: String?, excluding: [GlobPattern],
        leavingOut: Set<String> = []
    ) throws(BerthError) {
        var waiting: [(source: String, relative: String, chain: [String])] = [(source, "", [source])]
        while let next = waiting.popLast() {
            guard next.chain.count <= SourceTree.depthLimit else {
                throw BerthError(.tooLarge, "\(next.source) is nested deeper than \(SourceTree.depthLimit) folders")
            }
            for name in Disk.names(in: next.source).reversed() {
                let relative = next.relative.isEmpty ? name : "\(next.relative)/\(name)"
                if (always + excluding).contains(where: { $0.matches(relative) }) { continue }
                let place = "\(next.source)/\(name)"
                guard let real = Self.resolved(place) else {
                    throw BerthError(
                        .artifact, "\(place) is a symbolic link to nowhere", suggestion: "remove it or exclude it")
                }
                try check(real, shown: place)
                if try isFolder(real, shown: place) {
                    guard !next.chain.contains(real) else {
                        throw BerthError(.artifact, "\(place) is a symbolic link that leads into itself")
                    }
                    waiting.append((real, relative, next.chain + [real]))
                } else if !leavingOut.contains(real) {
                    let path = target.isEmpty ? relative : "\(target)/\(relative)"
                    try add(SourceTree.Found(path: path, source: real, kind: kind, root: root))
                }
            }
        }
    }

    /// Adds a file once; two different files for one place are refused.
    mutating func add(_ file: SourceTree.Found) throws(BerthError) {
        let key = file.kind == .smoke ? "smoke:\(file.path)" : file.path
        if let other = sources[key] {
            guard other == file.source else {
                throw BerthError(.artifact, "\(other) and \(file.source) would both land at \(file.path)")
            }
            return
        }
        guard found.count < SourceTree.fileLimit else {
            throw BerthError(
                .tooLarge, "there are more than \(SourceTree.fileLimit) files below \(folder)",
                suggestion: "leave some out with `server.exclude`")
        }
        sources[key] = file.source
        found.append(file)
    }

    private func check(_ real: String, shown: String) throws(BerthError) {
        guard real == project || real.hasPrefix(project == "/" ? "/" : project + "/") else {
            throw BerthError(
                .artifact, "\(shown) lies outside the project \(project), at \(real)",
                suggestion: "copy it beside the manifest")
        }
    }

    private func isFolder(_ real: String, shown: String) throws(BerthError) -> Bool {
        var status = stat()
        guard stat(real, &status) == 0 else { throw Disk.failure("read", real, code: .artifact) }
        switch status.st_mode & S_IFMT {
        case S_IFDIR: return true
        case S_IFREG: return false
        default:
            throw BerthError(
                .artifact, "\(shown) is a device, a socket or a FIFO, not a file", suggestion: "remove it or exclude it"
            )
        }
    }

    static func resolved(_ path: String) -> String? {
        guard let real = realpath(path, nil) else { return nil }
        defer { free(real) }
        return String(cString: real)
    }

    /// The name in a folder that was probably meant.
    private static func near(_ name: String, in folder: String) -> String? {
        let candidates = Disk.names(in: folder).prefix(1_000).map {
            ($0, EditDistance.between(name.lowercased(), $0.lowercased()))
        }
        guard let best = candidates.min(by: { $0.1 < $1.1 }) else { return nil }
        let stem = best.0.prefix { $0 != "." } == name.prefix { $0 != "." }
        return stem || best.1 <= max(2, name.count / 3) ? best.0 : nil
    }
}
