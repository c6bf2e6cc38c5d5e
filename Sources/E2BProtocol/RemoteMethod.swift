/// The procedures of envd by their HTTP path.
public enum RemoteMethod: String, Sendable, CaseIterable {
    case processList = "/process.Process/List"
    case processStart = "/process.Process/Start"
    case processConnect = "/process.Process/Connect"
    case processUpdate = "/process.Process/Update"
    case processSendInput = "/process.Process/SendInput"
    case processStreamInput = "/process.Process/StreamInput"
    case processSendSignal = "/process.Process/SendSignal"
    case processCloseStdin = "/process.Process/CloseStdin"
    case filesystemStat = "/filesystem.Filesystem/Stat"
    case filesystemMakeDir = "/filesystem.Filesystem/MakeDir"
    case filesystemMove = "/filesystem.Filesystem/Move"
    case filesystemListDir = "/filesystem.Filesystem/ListDir"
    case filesystemRemove = "/filesystem.Filesystem/Remove"
    case filesystemWatchDir = "/filesystem.Filesystem/WatchDir"
    case filesystemCreateWatcher = "/filesystem.Filesystem/CreateWatcher"
    case filesystemGetWatcherEvents = "/filesystem.Filesystem/GetWatcherEvents"
    case filesystemRemoveWatcher = "/filesystem.Filesystem/RemoveWatcher"

    /// Whether its requests or replies are framed (`application/connect+json`).
    public var isStreaming: Bool {
        switch self {
        case .processStart, .processConnect, .processStreamInput, .filesystemWatchDir: true
        default: false
        }
    }
}
