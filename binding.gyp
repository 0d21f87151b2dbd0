# Only a door: prebuildify and installs from source come in by node-gyp, CMakeLists.txt does the work.
{
  "targets": [
    {
      "target_name": "rainfront",
      "type": "none",
      "actions": [
        {
          "action_name": "cmake",
          "inputs": ["<!@(node scripts/native-build.mjs --list)"],
          "outputs": ["<(PRODUCT_DIR)/rainfront.node"],
          "action": ["node", "scripts/native-build.mjs", "<(PRODUCT_DIR)"]
        }
      ]
    }
  ]
}
