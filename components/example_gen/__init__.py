"""The step ExampleGen: tables and spans of tables to tf.Examples."""
