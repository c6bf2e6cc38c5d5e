import DeploymentCore
import Glibc

/// Removes a folder whose content is hostile: trees deeper than any path, folders without permissions, symbolic links.
///
/// Nothing is followed and nothing outside is touched. Every subfolder is renamed into one flat folder first, so that
/// neither the depth nor the number of open descriptors grows. It must not run while the guest still does.
struct FolderRemoval {
    /// How many names of a folder are handled at a time.
    static let batch = 4096
    private static let pit = ".removed"
    private static let here: Name = Array(".".utf8CString)
    private static let above: Name = Array("..".utf8CString)

    /// A file name with its final zero; a guest's need not be UTF-8.
    private typealias Name = [CChar]

    private let root: Descriptor
    private let pit: Descriptor
    private var moved = 0

    /// Removes `name` in the folder `parent`; `last` is a file in it that goes when everything else is gone, so that
    /// an interrupted removal still finds what it is about. A folder that does not exist is no error.
    static func remove(_ name: String, in parent: Descriptor, last: String) throws {
        guard let root = try openFolder(Array(name.utf8CString), in: parent) else { return }
        if mkdirat(root.number, Self.pit, 0o700) != 0, errno != EEXIST {
            throw BerthError.system(errno, "\(name) cannot be removed")
        }
        guard let pit = try openFolder(Array(Self.pit.utf8CString), in: root) else { return }
        var removal = FolderRemoval(root: root, pit: pit)
        try removal.empty(root, keeping: [Array(Self.pit.utf8CString), Array(last.utf8CString)])
        while let next = try Self.names(in: pit, limit: 1).first {
            if let folder = try openFolder(next, in: pit) { try removal.empty(folder, keeping: []) }
            try removal.unlink(next, in: pit, isFolder: true)
        }
        try removal.unlink(Array(Self.pit.utf8CString), in: root, isFolder: true)
        try removal.unlink(Array(last.utf8CString), in: root, isFolder: false)
        try removal.unlink(Array(name.utf8CString), in: parent, isFolder: true)
    }

    private init(root: Descriptor, pit: Descriptor) {
        self.root = root
        self.pit = pit
    }

    /// Unlinks the files of a folder and moves its subfolders into the pit.
    private mutating func empty(_ folder: Descriptor, keeping: Set<Name>) throws {
        while true {
            let names = try Self.names(in: folder, limit: Self.batch).filter { !keeping.contains($0) }
            if names.isEmpty { return }
            for name in names {
                if unlinkat(folder.number, name, 0) == 0 || errno == ENOENT { continue }
                guard errno == EISDIR || errno == EPERM else {
                    throw BerthError.system(errno, "a file cannot be removed")
                }
                if unlinkat(folder.number, name, AT_REMOVEDIR) == 0 { continue }
                try move(name, from: folder)
            }
        }
    }

    private mutating func move(_ name: Name, from folder: Descriptor) throws {
        // To change its parent the kernel writes `..` in it.
        _ = try Self.openFolder(name, in: folder)
        while true {
            moved += 1
            if renameat(folder.number, name, pit.number, "\(moved)") == 0 { return }
            // Left by an interrupted removal: the number is taken.
            guard errno == ENOTEMPTY || errno == EEXIST else {
                throw BerthError.system(errno, "a folder cannot be moved out of its place for removal")
            }
        }
    }

    private func unlink(_ name: Name, in folder: Descriptor, isFolder: Bool) throws {
        guard unlinkat(folder.number, name, isFolder ? AT_REMOVEDIR : 0) != 0, errno != ENOENT else { return }
        throw BerthError.system(errno, "\(Self.text(name)) cannot be removed")
    }

    /// Opens a folder with the permissions to empty it; nil when it does not exist.
    private static func openFolder(_ name: Name, in parent: Descriptor) throws -> Descriptor? {
        var status = stat()
        guard fstatat(parent.number, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else {
            if errno == ENOENT { return nil }
            throw BerthError.system(errno, "\(Self.text(name)) cannot be removed")
        }
        guard status.st_mode & S_IFMT == S_IFDIR else {
            throw BerthError(.sandbox, "\(text(name)) cannot be removed: it is not a folder")
        }
        // No symbolic link, and nobody is left who could put one here.
        if status.st_mode & 0o700 != 0o700, fchmodat(parent.number, name, 0o700, 0) != 0 {
            throw BerthError.system(errno, "\(text(name)) cannot be made removable")
        }
        let number = openat(parent.number, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard number >= 0 else { throw BerthError.system(errno, "\(Self.text(name)) cannot be removed") }
        return Descriptor(number)
    }

    /// At most `limit` names in a folder.
    private static func names(in folder: Descriptor, limit: Int) throws -> [Name] {
        let copy = openat(folder.number, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard copy >= 0, let stream = fdopendir(copy) else {
            let number = errno
            if copy >= 0 { close(copy) }
            throw BerthError.system(number, "a folder cannot be read for removal")
        }
        defer { closedir(stream) }
        var names: [Name] = []
        while names.count < limit, let row = readdir(stream) {
            let name = row.bytes
            if name != Self.here, name != Self.above { names.append(name) }
        }
        return names
    }

    private static func text(_ name: Name) -> String {
        String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
