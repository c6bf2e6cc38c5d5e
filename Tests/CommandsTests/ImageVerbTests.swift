import DeploymentCore
import E2BProtocol
import Foundation
import Testing

@testable import Commands

@Suite struct RecipeTests {
    @Test func instructionsBecomeSteps() throws {
        let recipe = try Recipe(
            """
            # what tools need
            FROM base

            ENV A=1 B="two words" C='$x'
            ENV D three words
            workdir app
            RUN echo one && \\
                # in between
                echo two
            RUN ["printf", "%s", "it's"]
            COPY --chown=root:root --chmod=0755 a "b c" bin/
            COPY . everything
            USER root
            CMD python3 -m http.server
            """
        ).recipe
        #expect(recipe.template == "base")
        #expect(recipe.startCommand == "python3 -m http.server")
        #expect(
            recipe.steps == [
                .init(.environment, ["A", "1", "B", "two words", "C", "$x"]),
                .init(.environment, ["D", "three words"]), .init(.workdir, ["app"]),
                .init(.run, ["echo one && echo two"]), .init(.run, [#"'printf' '%s' 'it'\''s'"#]),
                .init(.copy, ["a", "bin/", "root", "0755"]), .init(.copy, ["b c", "bin/", "root", "0755"]),
                .init(.copy, [".", "everything", "", ""]), .init(.user, ["root"]),
            ])
    }

    @Test(arguments: [
        ("", "empty"), ("RUN x", "line 1: a recipe begins with FROM"), ("FROM base\n\nEXPOSE 80", "line 3: EXPOSE"),
        ("FROM base\nFROM base", "line 2"), ("FROM base AS x", "line 1"),
        ("FROM base\nRUN", "line 2: RUN says nothing"),
        ("FROM base\nCOPY a", "line 2"), ("FROM base\nCOPY ../x y", "line 2: ../x is outside"),
        ("FROM base\nCOPY a b c", "ends with /"), ("FROM base\nENV 'a", "line 2: a quote"),
        ("FROM base\nCOPY --from=x a b", "--from=x"), ("FROM base\nENV A", "has no value"),
        ("FROM base\nRUN a \\\n b\nARG x", "line 4: ARG"),
    ])
    func whatMeansNothingIsNamedWithItsLine(_ text: String, _ words: String) throws {
        let error = #expect(throws: BerthError.self) { try Recipe(text) }
        #expect(error?.code == .usage)
        #expect(error?.message.contains(words) == true, "\(error?.message ?? "")")
    }
}

@Suite struct ImageVerbTests {
    @Test(arguments: Machine.outerRungs)
    func folderAndRecipeBecomeTemplatesThatAreListedAndRemoved(_ rung: Isolation) async throws {
        try await CLI.with(rung) { cli in
            let folder = "\(cli.folder)/tools"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            try Data("content".utf8).write(to: URL(fileURLWithPath: "\(folder)/f.txt"))
            try Data(
                "FROM folder\nWORKDIR w\nCOPY f* ../copies/\nWORKDIR /home/user\nRUN cat copies/f.txt f.txt\n".utf8
            )
            .write(to: URL(fileURLWithPath: "\(folder)/recipe"))
            #expect(try await cli.succeed("image", "add", "folder", folder).stdout.contains("folder: ready"))
            let built = try await cli.succeed("image", "add", "made:v1", "\(folder)/recipe")
            #expect(built.stderr.contains("contentcontent"))
            let list = try await cli.succeed("image", "list").stdout
            #expect(list.contains("folder") && list.contains("made"))
            try await cli.succeed("image", "remove", "made")
            let again = try await cli("image", "remove", "made")
            #expect(again.status != 0)
            #expect(again.stderr.contains("'made' does not exist"))
            try Data("FROM base\nRUN exit 7\n".utf8).write(to: URL(fileURLWithPath: "\(folder)/bad"))
            let bad = try await cli("image", "add", "bad", "\(folder)/bad")
            #expect(bad.status == 12)
            #expect(bad.stderr.contains("exit code 7"))
        }
    }
}
