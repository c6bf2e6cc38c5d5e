import CPlatform
import DeploymentCore
import E2BProtocol
import Glibc

/// The unary calls of `filesystem.Filesystem`.
struct FilesystemService {
    /// The most entries of one listing.
    static let entryLimit = 20_000
    /// The deepest listing.
    static let depthLimit = 64
    private static let folderMode: mode_t = 0o755
    let options: AgentOptions
    private let names = AccountNames()

    init(options: AgentOptions) { self.options = options }

    func answer(_ method: RemoteMethod, _ json: JSONValue) throws(ConnectError) -> JSONValue {
        switch method {
        case .filesystemStat: EntryResponse(entry: try entry(try resolve(try PathRequest(json: json).path))).json
        case .filesystemMakeDir: try makeFolder(try resolve(try PathRequest(json: json).path))
        case .filesystemMove: try move(try MoveRequest(json: json))
        case .filesystemListDir: try list(try ListDirRequest(json: json))
        case .filesystemRemove: try remove(try resolve(try PathRequest(json: json).path))
        default: throw ConnectError(.unimplemented, "\(method.rawValue) is not supported")
        }
    }

    private func resolve(_ path: String) throws(ConnectError) -> String {
        try PathResolver(options: options).resolve(path)
    }

    /// What is known of a path; of a link, what it leads to.
    func entry(_ path: String) throws(ConnectError) -> EntryInfo {
        guard let own = FileStatus(of: path) else { throw Self.failure(errno, path) }
        let target = own.isLink ? FileStatus(following: path) : nil
        let status = target ?? own
        return EntryInfo(
            name: PathResolver.name(path), type: status.type, path: path, size: status.size,
            mode: status.mode, permissions: status.permissions(isLink: own.isLink), owner: names.user(status.userID),
            group: names.group(status.groupID), modifiedTime: status.modified,
            symlinkTarget: own.isLink ? (Self.realPath(path) ?? path) : nil,
            metadata: status.isRegular ? FileMetadata.read(path) : [:])
    }

    private static func realPath(_ path: String) -> String? {
        guard let text = realpath(path, nil) else { return nil }
        defer { free(text) }
        return String(cString: text)
    }

    private func makeFolder(_ path: String) throws(ConnectError) -> JSONValue {
        if let status = FileStatus(following: path) {
            throw status.isDirectory
                ? ConnectError(.alreadyExists, "the folder '\(path)' exists already")
                : ConnectError(.invalidArgument, "'\(path)' exists and is no folder")
        }
        let error = Self.makeFolders(path)
        guard error == 0 else { throw Self.failure(error, path) }
        return EntryResponse(entry: try entry(path)).json
    }

    /// Makes a folder and those above it; 0 or an errno.
    static func makeFolders(_ path: String) -> Int32 {
        if FileStatus(following: path)?.isDirectory ?? false { return 0 }
        var made = ""
        for component in path.split(separator: "/") {
            made += "/\(component)"
            if mkdir(made, folderMode) == 0 || errno == EEXIST { continue }
            // Above a folder of ours may be ones that cannot be written but are there.
            let error = errno
            if !(FileStatus(following: made)?.isDirectory ?? false) { return error }
        }
        return FileStatus(following: path)?.isDirectory ?? false ? 0 : ENOTDIR
    }

    private func move(_ request: MoveRequest) throws(ConnectError) -> JSONValue {
        let source = try resolve(request.source)
        let destination = try resolve(request.destination)
        guard FileStatus(of: source) != nil else { throw Self.failure(errno, source) }
        let error = Self.makeFolders(PathResolver.folder(destination))
        guard error == 0 else { throw Self.failure(error, destination) }
        guard rename(source, destination) == 0 else { throw Self.failure(errno, destination) }
        return EntryResponse(entry: try entry(destination)).json
    }

    private func list(_ request: ListDirRequest) throws(ConnectError) -> JSONValue {
        let path = try resolve(request.path)
        guard let status = FileStatus(following: path) else { throw Self.failure(errno, path) }
        guard status.isDirectory else { throw ConnectError(.invalidArgument, "'\(path)' is no folder") }
        var entries: [EntryInfo] = []
        try list(path, depth: min(max(request.depth, 1), Self.depthLimit), into: &entries)
        return ListDirResponse(entries: entries).json
    }

    private func list(_ folder: String, depth: Int, into entries: inout [EntryInfo]) throws(ConnectError) {
        for name in folderNames(folder).sorted() {
            let path = folder == "/" ? "/\(name)" : "\(folder)/\(name)"
            // What vanishes meanwhile is not listed.
            guard let entry = try? entry(path) else { continue }
            guard entries.count < Self.entryLimit else {
                throw ConnectError(.resourceExhausted, "more than \(Self.entryLimit) entries")
            }
            entries.append(entry)
            if depth > 1, FileStatus(of: path)?.isDirectory ?? false {
                try list(path, depth: depth - 1, into: &entries)
            }
        }
    }

    private func remove(_ path: String) throws(ConnectError) -> JSONValue {
        guard path != "/", path != PathResolver.clean(options.home) else {
            throw ConnectError(.invalidArgument, "'\(path)' cannot be removed")
        }
        let error = berth_remove_tree(path)
        guard error == 0 else { throw Self.failure(-error, path) }
        return [:]
    }

    static func failure(_ error: Int32, _ path: String) -> ConnectError {
        let text = "'\(path)': \(errorText(error))"
        return switch error {
        case ENOENT: ConnectError(.notFound, text)
        case EACCES, EPERM, EROFS: ConnectError(.permissionDenied, text)
        case EEXIST, ENOTEMPTY: ConnectError(.alreadyExists, text)
        case ENOSPC, EDQUOT: ConnectError(.resourceExhausted, text)
        case ENOTDIR, ENAMETOOLONG, ELOOP, EINVAL, EISDIR, EXDEV: ConnectError(.invalidArgument, text)
        default: ConnectError(.internal, text)
        }
    }
}
