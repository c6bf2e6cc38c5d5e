import DeploymentCore
import GRDB

/// The control plane's memory: one SQLite file, written in whole transactions with full durability.
///
/// Every method is one transaction. A full disk is `storage_full`; any other failure of the file `internal_error`.
public struct DeploymentStore: Sendable {
    /// Events kept per store; the oldest go first.
    public static let maximumEvents = 100_000

    let database: DatabasePool

    /// Opens the file, making and migrating it as needed.
    ///
    /// - Throws: `internal_error` when a newer Berth wrote the file, or it cannot be opened.
    public init(path: String) throws {
        do {
            var configuration = Configuration()
            configuration.busyMode = .timeout(5)
            configuration.foreignKeysEnabled = true
            database = try DatabasePool(path: path, configuration: configuration)
            // DatabasePool sets NORMAL while opening; an answered request has to survive a power cut.
            try database.writeWithoutTransaction { try $0.execute(sql: "PRAGMA synchronous = FULL") }
            let migrator = Migrations.all()
            if try database.read(migrator.hasBeenSuperseded) {
                throw BerthError(
                    .internalError, "the store \(path) was written by a newer berth",
                    suggestion: "update berth, or set BERTH_HOME to another folder")
            }
            try migrator.migrate(database)
        } catch let error as BerthError {
            throw error
        } catch {
            throw Self.translate(error, doing: "open the store \(path)")
        }
    }

    func read<Value: Sendable>(_ doing: String, _ body: @Sendable (Database) throws -> Value) throws -> Value {
        do { return try database.read(body) } catch { throw Self.translate(error, doing: doing) }
    }

    func write<Value: Sendable>(_ doing: String, _ body: @Sendable (Database) throws -> Value) throws -> Value {
        do { return try database.write(body) } catch { throw Self.translate(error, doing: doing) }
    }

    private static func translate(_ error: any Error, doing: String) -> BerthError {
        if let error = error as? BerthError { return error }
        guard let failure = error as? DatabaseError else {
            return BerthError(.internalError, "cannot \(doing)", cause: error)
        }
        switch failure.resultCode {
        case .SQLITE_FULL, .SQLITE_IOERR:
            return BerthError(
                .storageFull, "cannot \(doing): the disk is full or cannot be written",
                suggestion: "free some space under BERTH_HOME; what runs keeps running", cause: error)
        default:
            return BerthError(.internalError, "cannot \(doing)", cause: error)
        }
    }
}
