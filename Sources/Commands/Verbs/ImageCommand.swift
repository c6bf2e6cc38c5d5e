import ArgumentParser
import ControlPlane
import DeploymentCore
import E2BProtocol
import Foundation

/// `berth image`: what sandboxes of clients are made from.
struct ImageCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "image", abstract: "Make, list and remove the templates that sandboxes of clients are made from.",
        subcommands: [Add.self, List.self, Remove.self])

    /// `berth image add`.
    struct Add: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "add", abstract: "Build a template from a folder or a recipe.",
            discussion: """
                berth image add tools ./tools
                berth image add tools ./tools/recipe

                What is in a folder becomes the home of the sandboxes. A recipe is a file like a Dockerfile with FROM, \
                RUN, COPY, ENV, WORKDIR, USER and CMD; its COPY takes files beside it. Only /home/user, /root and /tmp can be \
                written: the system of a sandbox is this machine's.
                """)

        /// Between two looks at a build.
        static let pause = Duration.milliseconds(200)

        @Argument(help: "The template's name: a-z, 0-9, - and _, and :tag behind it.")
        var name: String

        @Argument(help: "A folder or a recipe.")
        var source: String

        @Option(help: "Processors of the sandboxes.")
        var cpus: Int?

        @Option(help: ArgumentHelp("Memory of the sandboxes, in MiB.", valueName: "mebibytes"))
        var memory: Int?

        @OptionGroup var output: OutputOptions

        func run() async throws {
            try await output.reporting {
                let (recipe, context) = try read()
                try await Connection.with(starting: true) { client in
                    let ticket = try await client.requestImage(
                        TemplateRequest(name: name, processors: cpus, memoryMiB: memory))
                    var complete = recipe
                    complete.steps = try await upload(recipe.steps, context, client, ticket.template)
                    try await client.startImage(ticket.build, of: ticket.template, complete)
                    try await follow(ticket.build, of: ticket.template, client)
                    try output.print(
                        ["name": name, "template": ticket.template, "build": ticket.build],
                        "\(name): ready, as Sandbox.create(\"\(name)\")")
                }
            }
        }

        /// What is to be built, and where its files are.
        private func read() throws -> (TemplateRecipe, ImageContext) {
            let path = URL(fileURLWithPath: source).standardizedFileURL.path(percentEncoded: false)
            var isFolder: ObjCBool = false
            guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
                throw BerthError(.usage, "there is no \(source)")
            }
            if isFolder.boolValue {
                let folder = path.hasSuffix("/") && path != "/" ? String(path.dropLast()) : path
                let steps = [TemplateRecipe.Step(.copy, [".", "/home/user/", "", ""])]
                return (TemplateRecipe(template: "base", steps: steps), ImageContext(folder: folder))
            }
            guard let data = FileManager.default.contents(atPath: path), data.count <= Recipe.limit else {
                throw BerthError(.usage, "\(source) cannot be read, or is longer than \(Recipe.limit) bytes")
            }
            do {
                let recipe = try Recipe(String(decoding: data, as: UTF8.self)).recipe
                return (recipe, ImageContext(folder: (path as NSString).deletingLastPathComponent))
            } catch {
                throw BerthError(error.code, "\(source), \(error.message)", suggestion: error.suggestion)
            }
        }

        private func upload(
            _ steps: [TemplateRecipe.Step], _ context: ImageContext, _ client: ControlPlaneClient, _ template: String
        ) async throws -> [TemplateRecipe.Step] {
            let scratch = FileManager.default.temporaryDirectory.appending(path: "berth-image-\(UUID().uuidString)")
            try FileManager.default.createDirectory(at: scratch, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(at: scratch) }
            var complete = steps
            for (index, step) in steps.enumerated() where step.kind == .copy {
                let archive = scratch.appending(path: "\(index).tar").path(percentEncoded: false)
                let packed = try await context.pack(step.arguments[0], to: archive)
                try await client.uploadImageFiles(
                    archive, length: packed.length, sha256: packed.sha256, template: template)
                complete[index].files = packed.sha256
            }
            return complete
        }

        /// Shows the log until the build has ended.
        private func follow(_ build: String, of template: String, _ client: ControlPlaneClient) async throws {
            var offset = 0
            while true {
                let status = try await client.imageStatus(build, of: template, offset: offset)
                let lines = status["logEntries"]?.array ?? []
                offset += lines.count
                if !output.quiet, !output.isJSON {
                    for line in lines {
                        FileHandle.standardError.write(Data("\(VisibleText.of(line["message"]?.string ?? ""))\n".utf8))
                    }
                }
                guard lines.isEmpty else { continue }
                switch status["status"]?.string {
                case "ready": return
                case "error":
                    throw BerthError(.sandbox, status["reason"]?["message"]?.string ?? "the build failed")
                default: try await Task.sleep(for: Self.pause)
                }
            }
        }
    }

    /// `berth image list`.
    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(commandName: "list", abstract: "List the templates.")

        @OptionGroup var output: OutputOptions

        func run() async throws {
            try await output.asking { client in
                let images = try await client.images()
                let rows = images.map { image in
                    [
                        image["aliases"]?[0]?.string ?? "", image["templateID"]?.string ?? "",
                        image["buildStatus"]?.string ?? "", image["updatedAt"]?.string ?? "",
                    ]
                }
                let header = ["NAME", "TEMPLATE", "STATE", "CHANGED"]
                try output.print(images, rows.isEmpty ? "no templates but base" : Output.table([header] + rows))
            }
        }
    }

    /// `berth image remove`.
    struct Remove: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "remove", abstract: "Remove a template or a snapshot; sandboxes made from it go on.")

        @Argument(help: "Its name or id.")
        var name: String

        @OptionGroup var output: OutputOptions

        func run() async throws {
            try await output.asking { client in
                try await client.removeImage(name)
                try output.print(["removed": name], "\(name): removed")
            }
        }
    }
}
