import CPlatform
import DeploymentCore
import Glibc

/// What a launcher with ids of its own makes and finds, although the host's folders are closed to those ids.
struct Stage: Sendable {
    /// The folder that the launcher sees instead of the host's; bubblewrap needs one of this name too.
    static let place = "/tmp"

    /// Held while a launcher is started, whose changes of user make our own process untraceable for a moment, and with it
    /// everything that shares our memory: nobody else could start one, or look at a new namespace.
    static let turn = Locked(())

    let namespace: Descriptor
    /// The sandbox's folder, open for others while the launcher starts.
    let folder: String
    /// What is made in it for the user inside; folders end in a slash, and parents come first.
    let made: [String]
    /// What is shown: absolute, or made in the folder.
    let sources: [String]

    /// Where the launcher finds a source.
    static func path(of number: Int) -> String { "\(place)/\(number)" }

    /// Calls `body` with what berth_spawn_staged takes, and answers what failed beside its result.
    func with(_ body: (UnsafeMutablePointer<berth_staging>) -> Int32) -> (result: Int32, failure: String) {
        withCStrings(made) { made in
            withCStrings(sources) { sources in
                withCStrings([Self.place, folder]) { paths in
                    var staging = berth_staging()
                    staging.user_namespace = namespace.number
                    staging.folder = paths[1].map { UnsafePointer($0) }
                    staging.user = IdentityRange.user
                    staging.group = IdentityRange.user
                    staging.stage = paths[0].map { UnsafePointer($0) }
                    return made.withMemoryRebound(to: UnsafePointer<CChar>?.self, capacity: self.made.count + 1) {
                        made in
                        sources.withMemoryRebound(
                            to: UnsafePointer<CChar>?.self, capacity: self.sources.count + 1
                        ) { sources in
                            staging.made = made
                            staging.sources = sources
                            let result = body(&staging)
                            let failure = withUnsafeBytes(of: &staging.failure) { bytes in
                                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
                            }
                            return (result, failure)
                        }
                    }
                }
            }
        }
    }
}
