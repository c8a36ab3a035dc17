import com.sun.source.tree.CompilationUnitTree;
import com.sun.source.tree.IdentifierTree;
import com.sun.source.tree.MemberSelectTree;
import com.sun.source.util.JavacTask;
import com.sun.source.util.TreePathScanner;
import com.sun.source.util.Trees;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeSet;
import javax.lang.model.element.TypeElement;
import javax.tools.ToolProvider;

/**
 * Which file declares each type that a Java file names: `java JavaUses.java SOURCEPATH < FILES` prints pairs of paths, the declaring file first.
 * Types from elsewhere are left unknown: those of the repository resolve without them.
 */
class JavaUses {
    public static void main(String[] args) throws Exception {
        var compiler = ToolProvider.getSystemJavaCompiler();
        var manager = compiler.getStandardFileManager(problem -> {}, null, null);
        var names = new String(System.in.readAllBytes(), StandardCharsets.UTF_8).lines();
        var files = manager.getJavaFileObjectsFromPaths(names.map(Path::of).toList());
        var options = List.of("-proc:none", "-encoding", "UTF-8", "-XDshould-stop.ifError=FLOW", "-sourcepath", args[0]);
        var task = (JavacTask) compiler.getTask(null, manager, problem -> {}, options, null, files);
        var trees = Trees.instance(task);
        var found = new TreeSet<String>();
        var units = new ArrayList<CompilationUnitTree>();
        task.parse().forEach(units::add);
        task.analyze();
        for (var unit : units) {
            new TreePathScanner<Void, Void>() {
                @Override
                public Void visitIdentifier(IdentifierTree tree, Void nothing) {
                    return see();
                }

                @Override
                public Void visitMemberSelect(MemberSelectTree tree, Void nothing) {
                    see();
                    return super.visitMemberSelect(tree, nothing);
                }

                private Void see() {
                    var declared = trees.getElement(getCurrentPath()) instanceof TypeElement type ? trees.getPath(type) : null;
                    if (declared != null) {
                        found.add(declared.getCompilationUnit().getSourceFile().getName() + "\t" + unit.getSourceFile().getName());
                    }
                    return null;
                }
            }.scan(unit, null);
        }
        found.forEach(System.out::println);
    }
}
