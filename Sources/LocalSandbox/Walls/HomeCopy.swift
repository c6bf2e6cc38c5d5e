import DeploymentCore
import Foundation
import Glibc

/// Copies files of the host into a home folder whose owner may be at work in it: no link that was planted there is
/// followed, and nothing that is there is replaced.
enum HomeCopy {
    /// The deepest folder that is copied.
    static let depthLimit = 64
    /// The most bytes of one step.
    private static let step = 1 << 28

    /// Copies a file or folder to `place`, which is relative to `home`; its folders are made.
    static func copy(_ source: String, to place: String, home: String) throws {
        var names = place.split(separator: "/").map(String.init)
        guard let last = names.popLast() else { throw BerthError(.sandbox, "nothing can be copied to the home itself") }
        var folder = try Descriptor(folder: home)
        for name in names { folder = try makeFolder(name, in: folder, isNew: false) }
        try copy(source, to: last, in: folder, depth: 0)
    }

    private static func copy(_ source: String, to name: String, in folder: Descriptor, depth: Int) throws {
        guard depth < depthLimit else { throw BerthError(.tooLarge, "\(source) is deeper than \(depthLimit) folders") }
        let file = try Descriptor(opening: source, flags: O_RDONLY)
        var status = stat()
        guard fstat(file.number, &status) == 0 else { throw BerthError.system(errno, "\(source) cannot be read") }
        guard status.st_mode & S_IFMT == S_IFDIR else {
            return try copy(file, mode: 0o644 | status.st_mode & 0o111, to: name, in: folder)
        }
        let copied = try makeFolder(name, in: folder, isNew: true)
        for entry in try FileManager.default.contentsOfDirectory(atPath: source) {
            try copy("\(source)/\(entry)", to: entry, in: copied, depth: depth + 1)
        }
    }

    private static func makeFolder(_ name: String, in folder: Descriptor, isNew: Bool) throws -> Descriptor {
        if mkdirat(folder.number, name, 0o755) != 0, isNew || errno != EEXIST {
            throw BerthError.system(errno, "\(name) cannot be made in the sandbox")
        }
        let number = openat(folder.number, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard number >= 0 else { throw BerthError.system(errno, "\(name) in the sandbox is not a folder") }
        return Descriptor(number)
    }

    private static func copy(_ file: Descriptor, mode: mode_t, to name: String, in folder: Descriptor) throws {
        let flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC
        let number = openat(folder.number, name, flags, mode)
        guard number >= 0 else { throw BerthError.system(errno, "\(name) cannot be made in the sandbox") }
        let copied = Descriptor(number)
        while true {
            let count = sendfile(copied.number, file.number, nil, step)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw BerthError.system(errno, "\(name) cannot be written in the sandbox") }
            if count == 0 { return }
        }
    }
}
